// A server to drive, as the command line names it.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>

namespace echobench {

struct target {
  std::string name;  // empty: none was given
  std::string host_and_port;
  std::optional<pid_t> server_pid;
  std::size_t server_loops = 1;  // accept queues over which the kernel divides connections

  const std::string& label() const noexcept { return name.empty() ? host_and_port : name; }
};

}  // namespace echobench
