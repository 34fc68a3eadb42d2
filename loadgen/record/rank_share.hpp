// What one process of several did of a cell.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace echobench {

struct rank_share {
  int rank = 0;
  std::string host;
  std::uint64_t replies = 0;  // of its connections, in the measurement
  std::uint64_t errors = 0;
  std::uint64_t due = 0;                    // open loop: of its sends that became due,
  std::uint64_t on_schedule = 0;            // so many were on schedule
  std::chrono::nanoseconds clock_ahead{0};  // of rank 0's, the time of day
  std::chrono::nanoseconds clock_error{0};  // the largest error of that
  double client_busy = 0;                   // of its busiest thread, 0 to 1
  std::string verdict;                      // of its share alone
};

}  // namespace echobench
