// When the requests that are in flight were due, could go, and went: of each connection as many as its
// pipeline holds.
#pragma once

#include "loadgen/plan/pacing.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace echobench {

struct request_times {
  clock::time_point intended;  // when it was due
  clock::time_point ready;     // open loop: when it was due and its pipeline had room
  clock::time_point sent;      // when it was handed to the kernel; crr: when its connect was
};

class request_log {
public:
  request_log(std::size_t connections, std::size_t pipeline)
      : per_connection_(std::bit_ceil(pipeline)), times_(connections * per_connection_) {}

  request_times& of(std::size_t connection, std::uint64_t sequence) noexcept {
    return times_[connection * per_connection_ + (sequence & (per_connection_ - 1))];
  }

private:
  std::size_t per_connection_;  // a power of two
  std::vector<request_times> times_;
};

}  // namespace echobench
