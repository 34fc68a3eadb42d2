// When a worker looks for connections that have waited too long, and what is too long. It looks at all of
// them every so often: a time-out is noticed late, by a sixteenth of itself at most.
#pragma once

#include "loadgen/plan/pacing.hpp"

#include <algorithm>
#include <chrono>

namespace echobench {

class timeout_checks {
public:
  explicit timeout_checks(std::chrono::nanoseconds timeout) noexcept : timeout_(timeout) {}

  void begin(clock::time_point now) noexcept { next_ = now; }

  clock::time_point next() const noexcept { return next_; }
  void done(clock::time_point now) noexcept {
    using namespace std::chrono_literals;
    next_ = now + std::clamp<std::chrono::nanoseconds>(timeout_ / 16, 1ms, 250ms);
  }

  // Whether what began to wait then has waited too long.
  bool is_over(clock::time_point since, clock::time_point now) const noexcept {
    return now - since > timeout_;
  }

private:
  std::chrono::nanoseconds timeout_;
  clock::time_point next_;
};

}  // namespace echobench
