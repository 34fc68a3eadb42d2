// How long a target's turn is, and in which order targets have theirs.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <random>
#include <vector>

namespace echobench {

struct slice_plan {
  std::chrono::nanoseconds length{0};  // guard included, drain not
  std::chrono::nanoseconds guard{0};   // at its head, not counted
};

// `turn` is what one round over all connections takes (design: W), of the slowest target. An `asked` length
// under five turns is refused by std::invalid_argument that names the minimum; without one it is 20 turns,
// and 20 ms (open loop: 1 s) at least. Alone, a target needs no guard.
slice_plan plan_slices(std::optional<std::chrono::nanoseconds> asked, std::chrono::nanoseconds turn,
                       bool open_loop, bool alone);

// 0 to targets - 1 in the next random order; the same for the same generator state on every platform.
std::vector<std::size_t> next_round(std::size_t targets, std::mt19937_64& random);

}  // namespace echobench
