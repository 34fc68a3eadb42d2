// A server to drive, as the command line names it, and as it was found.
#pragma once

#include "common/socket.hpp"

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace echobench {

struct target {
  std::string name;  // empty: none was given
  std::string host_and_port;
  std::optional<pid_t> server_pid;
  std::size_t server_loops = 1;  // accept queues over which the kernel divides connections

  const std::string& label() const noexcept { return name.empty() ? host_and_port : name; }
};

// The address that is driven.
struct reached_target {
  endpoint address;
  std::size_t addresses = 1;         // how many the name has
  std::vector<std::string> refused;  // of them, those tried before: `[::1]:80: Connection refused`
};

}  // namespace echobench
