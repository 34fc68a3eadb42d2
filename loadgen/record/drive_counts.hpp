// What one worker did while it drove a target, and where its time went.
#pragma once

#include "loadgen/plan/drive_plan.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace echobench {

// What one worker did in a part of a drive.
struct part_counts {
  std::uint64_t requests = 0;  // verified replies
  std::chrono::nanoseconds cpu{0};
  std::chrono::nanoseconds waiting{0};  // for a CPU
  std::chrono::nanoseconds polling{0};  // time spent looking for events that were not there
  std::chrono::nanoseconds blocked{0};  // time asleep until there were events
  std::chrono::nanoseconds service{0};  // service times of the requests, added up
  std::chrono::nanoseconds slowest{
      0};                       // of the replies that are recorded: the longest time, response or service
  std::uint64_t bytes_out = 0;  // handed to the kernel; replies and headers included
  std::uint64_t bytes_in = 0;

  part_counts& operator+=(const part_counts& other) noexcept;
};

// Where a client thread's time went while it measured.
struct client_time {
  std::chrono::nanoseconds elapsed{0};
  std::chrono::nanoseconds waiting{0};  // of it, as in part_counts, and so are the next two
  std::chrono::nanoseconds polling{0};
  std::chrono::nanoseconds blocked{0};

  client_time& operator+=(const part_counts& window) noexcept;

  // What was not idle: its work, and all the time in which it would have worked had it been let, whether
  // another thread had the CPU or the hypervisor, whose theft is neither CPU time nor waiting. A wait for a
  // CPU counts wherever it fell: within `blocked` it follows a wake-up. At least 0.
  std::chrono::nanoseconds busy() const noexcept;
};

// What one worker did in one drive: parts[0] is the settling time, then the windows, then the drain.
struct drive_counts {
  std::vector<part_counts> parts;
  clock::time_point stopped;  // plan.stop, or when it was broken off
};

}  // namespace echobench
