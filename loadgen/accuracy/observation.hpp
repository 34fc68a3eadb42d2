// What the log of an observer says of a client: how long after its due time each request arrived, and how the
// arrivals followed each other. Of the client it takes what was asked of it, never when it says that it did
// it.
#pragma once

#include "loadgen/accuracy/arrival_log.hpp"
#include "loadgen/plan/pacing.hpp"
#include "loadgen/record/arrival_gaps.hpp"
#include "loadgen/record/histogram.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace echobench {

// An open loop to one target in `frame`, without warm-up: its first request is the first of the schedule.
struct observed_load {
  arrivals arrival = arrivals::uniform;
  std::uint64_t rate = 1;  // requests per second
  std::size_t connections = 1;
  std::uint64_t seed = 1;
  bursts on_off{};
};

struct observation {
  std::uint64_t requests = 0;
  std::uint64_t shared = 0;  // of them, with stamps that are not exact: they may have arrived earlier
  std::uint64_t absent = 0;

  // From when each was due until it had arrived, less the shortest of these times: the time to send and to
  // deliver a request, for when the client's schedule began is not asked of it.
  histogram delay;

  // Between consecutive arrivals, and between the due times of the same requests.
  arrival_gaps arrived;
  arrival_gaps due;

  // Gaps of more than `short_gap` by the ten parts of what an exponential distribution with the load's mean
  // has beyond it: a tenth each, if they are from it.
  std::array<std::uint64_t, 10> tenths{};
};

// Throws std::invalid_argument when the log is not of that load.
observation observe(std::span<const observed_request> log, const observed_load& load);

}  // namespace echobench
