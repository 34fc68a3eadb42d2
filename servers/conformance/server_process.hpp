// For tests: a real echo-server process, and a blocking client. Both give up after `patience`.
#pragma once

#include "common/socket.hpp"

#include <nlohmann/json.hpp>
#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace echobench::testing {

using bytes = std::string;

// What has not happened by then will not: much longer than anything takes on a slow and busy machine.
inline constexpr std::chrono::seconds patience{60};

struct exit_report {
  int status = -1;                // exit status, or 128 + signal
  std::string output = {};        // stdout after the first line
  std::string errors = {};        // stderr
  nlohmann::json totals() const;  // the "stopped" line
};

// Starts when constructed; killed when destroyed, if it still runs.
class server_process {
public:
  // `descriptors`: the hard limit for the process; 0 leaves it alone.
  explicit server_process(std::vector<std::string> arguments, unsigned descriptors = 0);
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process();

  // The first line; null when the process ended without one, or printed something else than JSON.
  const nlohmann::json& listening() const noexcept { return listening_; }
  endpoint address(std::size_t index = 0) const;
  pid_t pid() const noexcept { return pid_; }

  std::size_t descriptors() const;
  std::size_t threads() const;
  std::size_t resident_bytes() const;
  // CPU time that it has used, and that its threads have waited for while they could have run.
  std::chrono::nanoseconds cpu_wanted() const;

  // It may map so many bytes more than it has now; the stack of each thread is one mapping of stack_size.
  void limit_address_space(std::size_t more) const;
  void unlimit_address_space() const;
  static constexpr std::size_t stack_size = std::size_t{8} << 20;

  void signal(int number) const;
  // Waits for its end; kills it when it does not come within `patience`, which the status tells.
  exit_report wait();
  exit_report stop();  // SIGTERM, then wait

private:
  pid_t pid_ = -1;
  unique_fd out_;
  unique_fd err_;
  std::string buffered_;
  nlohmann::json listening_;
};

// The variants that the program lists.
nlohmann::json list_variants();

class client {
public:
  explicit client(const endpoint& server);

  int fd() const noexcept { return fd_.get(); }
  void send(std::string_view data);
  // Exactly n bytes, or fewer when the server ends; throws when nothing comes within `patience` or the
  // server resets.
  bytes receive(std::size_t n);
  bytes receive_to_end();
  bool readable_within(std::chrono::milliseconds time) const;
  bool writable_within(std::chrono::milliseconds time) const;
  void finish();  // half-close
  void reset();   // closes with a reset
  void close() { fd_.reset(); }

private:
  unique_fd fd_;
};

}  // namespace echobench::testing
