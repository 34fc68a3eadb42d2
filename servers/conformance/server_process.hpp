// For tests: a real server, started by its command line. It may start further processes.
#pragma once

#include "common/socket.hpp"
#include "servers/conformance/client.hpp"
#include "servers/conformance/process_tree.hpp"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace echobench::testing {

struct exit_report {
  int status = -1;                // exit status, or 128 + signal
  std::string output = {};        // stdout after the first line
  std::string errors = {};        // stderr
  bool left_processes = false;    // processes that the server had started were left when it had ended
  nlohmann::json totals() const;  // the "stopped" line
};

// Starts when constructed; if it still runs when destroyed, it is killed with all processes that it started.
class server_process {
public:
  // Program and arguments, started in the root of the repository. `descriptors`: the hard limit for the
  // process; 0 leaves it alone.
  explicit server_process(std::vector<std::string> command, unsigned descriptors = 0);
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process();

  // The first line; null if the process ended without one, or if the line is not JSON.
  const nlohmann::json& listening() const noexcept { return listening_; }
  endpoint address(std::size_t index = 0) const;
  pid_t pid() const noexcept { return pid_; }
  // The server and its children, as they are now.
  process_tree processes() const { return process_tree(pid_); }

  static constexpr std::size_t stack_size = std::size_t{8} << 20;  // of each thread; it is one mapping

  void signal(int number) const;      // as kill(1) does: to the process that was started
  void signal_all(int number) const;  // as Ctrl-C does: to its children as well
  // Waits until the server has ended; kills it after `patience`, which the status then shows.
  exit_report wait();
  exit_report stop();  // SIGTERM, then wait

private:
  pid_t pid_ = -1;  // also its process group
  unique_fd out_;
  unique_fd err_;
  std::string buffered_;
  nlohmann::json listening_;
};

}  // namespace echobench::testing
