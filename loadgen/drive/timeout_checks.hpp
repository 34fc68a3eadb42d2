// When a worker looks for connections that have waited too long, and what is too long. It looks at all of
// them every so often: a time-out is noticed late, by a sixteenth of itself at most.
//
// A look that comes late shows that the worker was away: stopped, or kept from its CPU. A request that it had
// stamped may not have been sent until it was back, and that wait is the client's own: no time in which it
// was away counts.
#pragma once

#include "loadgen/plan/pacing.hpp"

#include <algorithm>
#include <chrono>
#include <deque>

namespace echobench {

class timeout_checks {
public:
  explicit timeout_checks(std::chrono::nanoseconds timeout) noexcept : timeout_(timeout) {}

  void begin(clock::time_point now) noexcept { next_ = now; }

  clock::time_point next() const noexcept { return next_; }

  // The look that was due at next() happens now.
  void look(clock::time_point now) {
    if (now - next_ <= interval()) return;
    away_.push_back({.until = now, .length = now - next_});
    if (away_.size() > remembered) away_.pop_front();
  }
  void done(clock::time_point now) noexcept { next_ = now + interval(); }

  // Whether what began to wait then has waited too long.
  bool is_over(clock::time_point since, clock::time_point now) const noexcept {
    auto waited = now - since;
    for (const absence& was : away_) {
      if (was.until > since) waited -= std::min(was.length, was.until - since);
    }
    return waited > timeout_;
  }

private:
  static constexpr std::size_t remembered =
      64;  // each look counts one interval at least: more than a time-out

  struct absence {
    clock::time_point until;
    std::chrono::nanoseconds length;
  };

  std::chrono::nanoseconds interval() const noexcept {
    using namespace std::chrono_literals;
    return std::clamp<std::chrono::nanoseconds>(timeout_ / 16, 1ms, 250ms);
  }

  std::chrono::nanoseconds timeout_;
  clock::time_point next_;
  std::deque<absence> away_;
};

}  // namespace echobench
