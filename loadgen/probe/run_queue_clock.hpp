// How long a thread has waited for a CPU although it could run. A client thread that must share its CPU is a
// bottleneck that its CPU time does not show.
#pragma once

#include "common/socket.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace echobench {

class run_queue_clock {
public:
  // For the thread that makes it.
  explicit run_queue_clock(const std::string& schedstat = "/proc/thread-self/schedstat") noexcept;

  // Since the thread began; empty where the kernel does not report it (CONFIG_SCHED_INFO). A system call
  // (~1 us). Source: the second field of schedstat.
  std::optional<std::chrono::nanoseconds> now() const noexcept;

private:
  unique_fd file_;
};

}  // namespace echobench
