// When requests are made, as plain data.
#pragma once

#include <chrono>
#include <cstdint>

namespace echobench {

using clock = std::chrono::steady_clock;

enum class arrivals : std::uint8_t { uniform, poisson };  // of the open loop

// Requests are made in the first `on` of every on + off, counted from the target's first moment of load; the
// rate of the open loop is the mean over both. off 0: all the time.
struct bursts {
  std::chrono::nanoseconds on{0};
  std::chrono::nanoseconds off{0};
};

// What a connection of the closed loop waits between a reply and its next request.
struct think_time {
  std::chrono::nanoseconds mean{0};
  bool exponential = false;
};

struct pacing {
  arrivals arrival = arrivals::poisson;
  bursts on_off{};
  think_time think{};
  std::uint64_t seed = 1;
};

}  // namespace echobench
