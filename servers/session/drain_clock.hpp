// How much time a stopping server has left.
#pragma once

#include <atomic>
#include <chrono>
#include <stop_token>
#include <utility>

namespace echobench {

// The time begins with the first call after the request to stop. Safe from any thread.
class drain_clock {
public:
  using clock = std::chrono::steady_clock;

  drain_clock(std::stop_token stop, std::chrono::nanoseconds timeout)
      : stop_(std::move(stop)), timeout_(timeout) {}

  bool stopping() const noexcept { return stop_.stop_requested(); }
  bool expired() const noexcept { return stopping() && clock::now() >= deadline(); }
  // The far future until the server stops.
  clock::time_point deadline() const noexcept {
    if (!stopping()) return clock::time_point::max();
    clock::rep deadline = unset;
    const clock::rep mine = (clock::now() + timeout_).time_since_epoch().count();
    if (deadline_.compare_exchange_strong(deadline, mine)) deadline = mine;
    return clock::time_point(clock::duration(deadline));
  }

private:
  static constexpr clock::rep unset = 0;

  std::stop_token stop_;
  clock::duration timeout_;
  mutable std::atomic<clock::rep> deadline_{unset};
};

}  // namespace echobench
