// How long a thread has waited for a CPU although it could run. A client thread that must share its CPU is a
// bottleneck that its CPU time does not show.
#pragma once

#include "common/socket.hpp"

#include <chrono>

namespace echobench {

class run_queue_clock {
public:
  // For the thread that makes it.
  run_queue_clock() noexcept;

  // Since the thread began; always 0 where the kernel does not say. A system call (~1 us).
  // Source: the second field of /proc/thread-self/schedstat.
  std::chrono::nanoseconds now() const noexcept;

private:
  unique_fd file_;
};

}  // namespace echobench
