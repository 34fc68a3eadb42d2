// How long a system call is to wait, as it wants to be told.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

namespace echobench {

// Timespec may be the kernel's own, __kernel_timespec. What is over already is zero.
template <class Timespec = timespec>
Timespec to_timespec(std::chrono::nanoseconds left) {
  left = std::max(left, std::chrono::nanoseconds::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  return {.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
}

}  // namespace echobench
