#include "servers/session/burn.hpp"

#include <algorithm>
#include <array>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

// What calls of `burn` take beside what they tell, each, by the clock that they are measured on: the median
// of several attempts, so that one which was preempted does not count.
template <class Clock>
nanoseconds beside_what_is_told(const request_burn& burn, int calls, Clock now) {
  std::array<nanoseconds, 51> beside;
  for (nanoseconds& each : beside) {
    nanoseconds told{0};
    const auto begin = now();
    for (int i = 0; i < calls; ++i) told += burn();
    each = (now() - begin - told) / calls;
  }
  const auto middle = beside.begin() + beside.size() / 2;
  std::nth_element(beside.begin(), middle, beside.end());
  return *middle;
}

}  // namespace

request_burn::request_burn(nanoseconds each) {
  if (each.count() == 0) return;
  if (each < long_burn) {
    beside_ = beside_what_is_told(*this, 100, std::chrono::steady_clock::now);
  } else {
    each_ = long_burn;
    beside_ = beside_what_is_told(*this, 2, thread_cpu_time);
  }
  each_ = each;
}

}  // namespace echobench
