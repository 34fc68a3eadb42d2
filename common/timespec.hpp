// A time to wait, in the form that system calls take.
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

namespace echobench {

// Timespec: timespec or __kernel_timespec. A time in the past becomes zero.
template <class Timespec = timespec>
Timespec to_timespec(std::chrono::nanoseconds left) {
  left = std::max(left, std::chrono::nanoseconds::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  return {.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
}

}  // namespace echobench
