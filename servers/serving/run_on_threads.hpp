// A loop on each of several threads.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace echobench {

// Calls run(i) for each i below n, on a thread each, the first on this one, and returns when all have. None
// begins before all threads exist: when the system has too few, std::system_error is thrown and nothing ran.
template <class Run>
void run_on_threads(unsigned n, Run run) {
  enum class signal : std::uint8_t { wait, go, give_up };
  std::atomic<signal> start{signal::wait};
  std::vector<std::jthread> others;
  const auto tell = [&](signal what) {
    start = what;
    start.notify_all();
  };
  try {
    for (unsigned i = 1; i < n; ++i) {
      others.emplace_back([&start, &run, i] {
        start.wait(signal::wait);
        if (start == signal::go) run(i);
      });
    }
  } catch (...) {
    tell(signal::give_up);
    throw;
  }
  tell(signal::go);
  run(0);
}

}  // namespace echobench
