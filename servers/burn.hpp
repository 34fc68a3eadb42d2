// Burning CPU time: the work that a request asks for, and the known slow-down that calibrates comparisons.
#pragma once

#include "common/cpu.hpp"

#include <algorithm>
#include <chrono>

namespace echobench {

// Returns when this thread has used `duration` of CPU time, or when give_up() says so, which is asked about
// every 50 us. Reading the thread's clock is a system call of about 0.2 us: shorter times are measured on the
// steady clock, which costs a tenth of that and differs only if the thread is preempted meanwhile.
template <class Predicate>
void burn_cpu(std::chrono::nanoseconds duration, Predicate give_up) {
  using std::chrono::steady_clock;
  using namespace std::chrono_literals;
  if (duration < 50us) {
    const auto end = steady_clock::now() + duration;
    while (steady_clock::now() < end) {
    }
    return;
  }
  const auto end = thread_cpu_time() + duration;
  for (auto left = duration; left > 0ns && !give_up(); left = end - thread_cpu_time()) {
    const auto pause = steady_clock::now() + std::min<std::chrono::nanoseconds>(left, 50us);
    while (steady_clock::now() < pause) {
    }
  }
}

}  // namespace echobench
