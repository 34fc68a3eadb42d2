// When a target is driven, and how that time is divided for the accounts.
#pragma once

#include "loadgen/plan/pacing.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace echobench {

// A time during which one target is driven: [start, measure_from) the settling time, then `windows`
// accounting windows up to `stop`, then the drain, in which nothing new is due and what is outstanding is
// awaited.
struct drive_plan {
  std::size_t target = 0;
  std::uint64_t rate = 0;  // requests per second; 0: closed loop
  clock::time_point start{};
  clock::time_point measure_from{};
  clock::time_point stop{};
  std::size_t windows = 1;
  bool recorded = false;  // no: warm-up

  bool open_loop() const noexcept { return rate != 0; }

  // Ends of the parts: settling time, window 0, window 1, ... the last window ends at `stop`.
  clock::time_point end_of(std::size_t part) const noexcept {
    return part == windows ? stop
                           : measure_from + (stop - measure_from) / static_cast<std::int64_t>(windows) *
                                                static_cast<std::int64_t>(part);
  }

  // Which part holds that time; the drain is part windows + 1.
  std::size_t part_at(clock::time_point time) const noexcept {
    if (time < measure_from) return 0;
    if (time >= stop) return windows + 1;
    const auto window = (stop - measure_from) / static_cast<std::int64_t>(windows);
    if (window.count() == 0) return windows;
    return std::min(static_cast<std::size_t>((time - measure_from) / window) + 1, windows);
  }

  // How much was measured if driving ended at that time.
  std::chrono::nanoseconds measured_until(clock::time_point stopped) const noexcept {
    return std::max<std::chrono::nanoseconds>(stopped - measure_from, std::chrono::nanoseconds(0));
  }

  bool is_measured(clock::time_point time) const noexcept { return time >= measure_from && time < stop; }
};

}  // namespace echobench
