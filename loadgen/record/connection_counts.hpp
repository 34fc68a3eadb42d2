// What one connection did.
#pragma once

#include <chrono>
#include <cstdint>

namespace echobench {

// One connection (crr: one succession of connections) in recorded drives.
struct connection_counts {
  bool opened = false;
  std::uint64_t due = 0;  // open loop: requests that it was to carry
  std::uint64_t replies = 0;
  std::chrono::nanoseconds longest{0};  // that it waited for a reply, also for one that never came
};

}  // namespace echobench
