#include "servers/session/burn.hpp"

#include <algorithm>
#include <array>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

// The time that a call of `burn` takes in addition to what it reports, by the clock that the burn is measured
// on: the median of several attempts, so that preempted ones do not count.
template <class Clock>
nanoseconds overhead_of_call(const request_burn& burn, int calls, Clock now) {
  std::array<nanoseconds, 51> overheads;
  for (nanoseconds& overhead : overheads) {
    nanoseconds reported{0};
    const auto begin = now();
    for (int i = 0; i < calls; ++i) reported += burn();
    overhead = (now() - begin - reported) / calls;
  }
  const auto middle = overheads.begin() + overheads.size() / 2;
  std::nth_element(overheads.begin(), middle, overheads.end());
  return *middle;
}

}  // namespace

request_burn::request_burn(nanoseconds duration) {
  if (duration.count() == 0) return;
  if (duration < long_burn) {
    overhead_ = overhead_of_call(*this, 100, std::chrono::steady_clock::now);
  } else {
    duration_ = long_burn;
    overhead_ = overhead_of_call(*this, 2, thread_cpu_time);
  }
  duration_ = duration;
}

}  // namespace echobench
