// How long a worker may sleep when something is due at a known time: less than until then, for sleeps last
// longer than they should; the rest is polled.
#pragma once

#include <algorithm>
#include <chrono>

namespace echobench {

class sleep_margin {
public:
  using nanoseconds = std::chrono::nanoseconds;

  static constexpr nanoseconds shortest = std::chrono::microseconds(50);
  static constexpr nanoseconds longest = std::chrono::microseconds(200);

  // For an event that is `away`; 0 or less: poll.
  nanoseconds sleep_for(nanoseconds away) const noexcept { return away - margin_; }

  // A sleep of `asked` took that long: by twice what it was late the next ones end earlier, and that is
  // forgotten over some hundred sleeps.
  void slept(nanoseconds asked, nanoseconds took) noexcept {
    if (took > asked) margin_ = std::clamp<nanoseconds>(2 * (took - asked), margin_, longest);
    margin_ = std::max<nanoseconds>(margin_ - margin_ / 256, shortest);
  }

private:
  nanoseconds margin_ = shortest;
};

}  // namespace echobench
