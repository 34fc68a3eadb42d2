// Whether a server keeps up with the open loop.
#pragma once

#include "loadgen/record/drive_counts.hpp"

#include <chrono>
#include <cstdint>
#include <span>

namespace echobench {

// How the backlog grew: requests that were due and not answered, in flight or waiting. At the end of a drive
// as many are in flight as one service time explains; more than that were left behind.
struct backlog_growth {
  std::uint64_t due = 0;  // in the measured time
  double growth = 0;      // of the backlog over the measured time
  double explained = 0;   // of the growth: what is in flight where all is answered in time
  double variance = 0;    // of the growth, where all is answered in time, for arrivals and service are random
  bool rose = false;      // it rose from each quarter of the measured time to the next
  std::size_t drives = 0;
  double largest = 0;  // of one drive: its growth beyond what is explained

  backlog_growth& operator+=(const backlog_growth& other) noexcept;

  // Requests that were left behind beyond doubt. At least 0.
  double left_behind() const noexcept;

  // At most 2 % of what was due was left behind; of a single drive, in which the backlog rose and rose, 0.5
  // %. Of several drives, the one that left most behind does not count: a stall, of the server or of the
  // whole machine, falls into one, and a server that does not keep up leaves something behind in each.
  bool kept_up() const noexcept;
};

// Of one drive. `parts`: of all workers together, the settling time and the windows as far as they were
// driven. `period`: of bursts, else 0: a backlog that comes with a burst and goes with its end does not grow.
backlog_growth growth_of_backlog(std::span<const part_counts> parts, const part_counts& drain,
                                 std::chrono::nanoseconds measured, std::chrono::nanoseconds period);

}  // namespace echobench
