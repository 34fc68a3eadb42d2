// Burning CPU time: the work that a request asks for, and the known slow-down that calibrates comparisons.
#pragma once

#include "common/cpu.hpp"

#include <algorithm>
#include <chrono>

namespace echobench {

// From this duration on a burn is measured on the thread's CPU clock. Reading it is a system call of about
// 0.2 us. Shorter burns are measured on the steady clock, which costs a tenth of that and differs only if the
// thread is preempted meanwhile.
inline constexpr std::chrono::microseconds long_burn{50};

// Returns when this thread has used `duration` of CPU time, or when give_up() returns true; a long burn calls
// it about every 50 us. Returns the time from the first to the last reading of the clock; for a burn on the
// steady clock that was preempted, at most what was asked for.
template <class Predicate>
std::chrono::nanoseconds burn_cpu(std::chrono::nanoseconds duration, Predicate give_up) {
  using std::chrono::steady_clock;
  using namespace std::chrono_literals;
  constexpr auto preempted = 30us;  // interrupts count as the thread's and take less; other threads take more
  if (duration < long_burn) {
    const auto begin = steady_clock::now();
    auto used = 0ns;
    do {
      used = steady_clock::now() - begin;
    } while (used < duration);
    return used < duration + preempted ? used : duration;
  }
  const auto begin = thread_cpu_time();
  auto used = 0ns;
  while (used < duration && !give_up()) {
    const auto pause = steady_clock::now() + std::min<std::chrono::nanoseconds>(duration - used, long_burn);
    while (steady_clock::now() < pause) {
    }
    used = thread_cpu_time() - begin;
  }
  return used;
}

// The known slow-down: burns for each request, and reports the CPU time that this really took.
class request_burn {
public:
  request_burn() = default;  // nothing
  // Measures, in a few milliseconds, what a burn takes in addition to the time between its readings of the
  // clock.
  explicit request_burn(std::chrono::nanoseconds duration);

  bool wanted() const noexcept { return duration_.count() > 0; }
  // Burns; returns the CPU time that was used.
  std::chrono::nanoseconds operator()() const noexcept {
    return burn_cpu(duration_, [] { return false; }) + overhead_;
  }

private:
  std::chrono::nanoseconds duration_{0};
  std::chrono::nanoseconds overhead_{0};  // half of the first reading and half of the last, and the call
};

}  // namespace echobench
