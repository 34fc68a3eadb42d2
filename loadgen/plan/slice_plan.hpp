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
  double requests = 0;                  // that it served
  std::chrono::nanoseconds elapsed{0};  // in that time
  std::chrono::nanoseconds service{0};  // mean service time
};

// One cycle through all requests that a target has in flight (design: W). `in_flight`: connections x
// pipeline. Closed loop: in_flight / rate. Open loop, where the rate says nothing about the server: a
// request's service. 0 when nothing was answered.
std::chrono::nanoseconds in_flight_cycle(const warmup_seen& of, std::size_t in_flight, bool open_loop);

// `cycle` is that of the slowest target. An `explicit_length` under five cycles is lengthened to that where
// rounds take as long as they take; else it is refused by std::invalid_argument that names the minimum.
// Without one it is 20 cycles, and 20 ms at least; in the open loop 1 s, so that queues can build. Alone, a
// target has windows only, for whose settling time see below.
slice_plan plan_slices(std::optional<std::chrono::nanoseconds> explicit_length,
                       std::chrono::nanoseconds cycle, bool open_loop, bool alone, bool lengthen = false);

// How long a target that is driven alone and without a break is driven before that counts. In the closed loop
// the first requests are made all at once, and where the server is busy with them some are answered sooner
// than any later ones; that is over after a cycle, and it matters where the cycle is a good part of the
// measured time. A run that has no ten cycles is too short to wait for it.
std::chrono::nanoseconds settling_alone(std::chrono::nanoseconds cycle, std::chrono::nanoseconds measured,
                                        bool open_loop);

// 0 to targets - 1 in the next random order; the same for the same generator state on every platform.
std::vector<std::size_t> next_round(std::size_t targets, std::mt19937_64& random);

}  // namespace echobench
