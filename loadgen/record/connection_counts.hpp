// What one connection did.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace echobench {

// One connection (crr: one succession of connections) in recorded drives.
struct connection_counts {
  bool opened = false;
  std::uint64_t due = 0;  // requests that it was to carry; closed loop: that it made
  std::uint64_t replies = 0;
  std::chrono::nanoseconds longest{0};        // that it waited for a reply, also for one that never came
  std::chrono::nanoseconds waited{0};         // for its replies, added up
  std::vector<std::uint64_t> by_operation{};  // of a mix: its replies; empty: none came
};

}  // namespace echobench
