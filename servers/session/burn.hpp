// Burning CPU time: the work that a request asks for, and the known slow-down that calibrates comparisons.
#pragma once

#include "common/cpu.hpp"

#include <algorithm>
#include <chrono>

namespace echobench {

// From here on a burn is measured on the thread's own clock. Reading it is a system call of about 0.2 us:
// shorter burns are measured on the steady clock, which costs a tenth of that and differs only if the thread
// is preempted meanwhile.
inline constexpr std::chrono::microseconds long_burn{50};

// Returns when this thread has used `duration` of CPU time, or when give_up() says so, which a long burn asks
// about every 50 us. Returns what was used from the first to the last reading of the clock; a burn that was
// preempted on the steady clock has used what was asked for, at most.
template <class Predicate>
std::chrono::nanoseconds burn_cpu(std::chrono::nanoseconds duration, Predicate give_up) {
  using std::chrono::steady_clock;
  using namespace std::chrono_literals;
  constexpr auto preempted = 30us;  // interrupts, which are the thread's, take less; other threads take more
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

// The known slow-down: burns for each request, and tells what that really took.
class request_burn {
public:
  request_burn() = default;  // nothing
  // Measures what a burn takes beside what passes between its readings of the clock, in a few milliseconds.
  explicit request_burn(std::chrono::nanoseconds each);

  bool wanted() const noexcept { return each_.count() > 0; }
  // Returns the CPU time that it has used.
  std::chrono::nanoseconds operator()() const noexcept {
    return burn_cpu(each_, [] { return false; }) + beside_;
  }

private:
  std::chrono::nanoseconds each_{0};
  std::chrono::nanoseconds beside_{0};  // half of the first reading and half of the last, and the call
};

}  // namespace echobench
