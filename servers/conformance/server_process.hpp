// For tests: a real server, started by its command line. It may start processes of its own.
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
  bool left_processes = false;    // some that it had started still lived when it had ended
  nlohmann::json totals() const;  // the "stopped" line
};

// Starts when constructed; killed when destroyed, with all that it started, if it still runs.
class server_process {
public:
  // Program and arguments, started in the root of the repository. `descriptors`: the hard limit for the
  // process; 0 leaves it alone.
  explicit server_process(std::vector<std::string> command, unsigned descriptors = 0);
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process();

  // The first line; null when the process ended without one, or printed something else than JSON.
  const nlohmann::json& listening() const noexcept { return listening_; }
  endpoint address(std::size_t index = 0) const;
  pid_t pid() const noexcept { return pid_; }
  // It and its children, as they are now.
  process_tree processes() const { return process_tree(pid_); }

  static constexpr std::size_t stack_size = std::size_t{8} << 20;  // of each thread; it is one mapping

  void signal(int number) const;      // as kill(1) does: to the process that was started
  void signal_all(int number) const;  // as Ctrl-C does: to its children as well
  // Waits for its end; kills it when it does not come within `patience`, which the status tells.
  exit_report wait();
  exit_report stop();  // SIGTERM, then wait

private:
  pid_t pid_ = -1;  // of a process group of its own
  unique_fd out_;
  unique_fd err_;
  std::string buffered_;
  nlohmann::json listening_;
};

}  // namespace echobench::testing
