// How long a slice of a target is, and in which order targets have theirs.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace echobench {

struct slice_plan {
  std::chrono::nanoseconds length{0};    // settling time included, drain not
  std::chrono::nanoseconds settling{0};  // at its head, not counted
};

// What the warm-up showed of a target.
struct warmup_seen {
  std::uint64_t requests = 0;
  std::chrono::nanoseconds elapsed{0};  // the time in which they were answered
  std::chrono::nanoseconds service{0};  // their service times, added up
};

// One cycle through all requests that a target has in flight (design: W). `in_flight`: connections x
// pipeline. Closed loop: in_flight / rate. Open loop, where the rate says nothing about the server: a
// request's service. 0 when nothing was answered.
std::chrono::nanoseconds in_flight_cycle(const warmup_seen& of, std::size_t in_flight, bool open_loop);

// `cycle` is that of the slowest target. An `explicit_length` under five cycles is lengthened to that where
// rounds take as long as they take; else it is refused by std::invalid_argument that names the minimum.
// Without one it is 20 cycles, and 20 ms at least; in the open loop 1 s, so that queues can build. Alone, a
// target has windows only: they need no settling time, and queues build through them.
slice_plan plan_slices(std::optional<std::chrono::nanoseconds> explicit_length,
                       std::chrono::nanoseconds cycle, bool open_loop, bool alone, bool lengthen = false);

// 0 to targets - 1 in the next random order; the same for the same generator state on every platform.
std::vector<std::size_t> next_round(std::size_t targets, std::mt19937_64& random);

}  // namespace echobench
