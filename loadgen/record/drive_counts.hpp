// What one worker did while it drove a target, and where its time went.
#pragma once

#include "loadgen/plan/drive_plan.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace echobench {

// A sum is known only if all of its terms are.
void add_known(std::optional<std::chrono::nanoseconds>& sum,
               std::optional<std::chrono::nanoseconds> term) noexcept;

// What one worker did in a part of a drive.
struct part_counts {
  std::uint64_t requests = 0;  // verified replies that came in it
  double served = 0;           // requests, each by the share of its service time that fell in it
  std::uint64_t answered = 0;  // requests due in it (closed loop: made), and answered, whenever that was
  std::uint64_t due = 0;       // open loop: requests that became due in it
  std::chrono::nanoseconds in_flight{0};  // that requests were in it, added up
  std::chrono::nanoseconds cpu{0};
  std::optional<std::chrono::nanoseconds> waiting{0};  // for a CPU; empty: the kernel does not report it
  std::chrono::nanoseconds late{
      0};  // that the thread had neither slept nor worked when it ended the part before
  std::chrono::nanoseconds polling{0};  // looking for events that were not there
  std::chrono::nanoseconds blocked{0};  // asleep until there were events
  std::chrono::nanoseconds service{0};  // service times of the requests, added up
  std::chrono::nanoseconds slowest{0};  // reply that is recorded: its time, response or service
  std::uint64_t bytes_out = 0;          // handed to the kernel; replies and headers included
  std::uint64_t bytes_in = 0;

  part_counts& operator+=(const part_counts& other) noexcept;
};

// Where a client thread's time went while it measured.
struct client_time {
  std::chrono::nanoseconds elapsed{0};
  std::optional<std::chrono::nanoseconds> waiting{
      0};  // of `elapsed`; as in part_counts, and so are the next three
  std::chrono::nanoseconds late{0};
  std::chrono::nanoseconds polling{0};
  std::chrono::nanoseconds blocked{0};

  client_time& operator+=(const part_counts& window) noexcept;

  // What kept the thread from running although it would have: another thread on its CPU, a quota, a signal
  // that stopped it, the hypervisor. A lower bound: the kernel counts most of these as waiting for a CPU,
  // and all of them make the thread late at the end of a window.
  std::chrono::nanoseconds kept_away() const noexcept;

  // What was not idle: its work, and all the time in which it would have worked had it been let, whether
  // another thread had the CPU or the hypervisor, whose theft is neither CPU time nor waiting. What kept it
  // away counts wherever it fell: within `blocked` it follows a wake-up. At least 0.
  std::chrono::nanoseconds busy() const noexcept;
};

// What one worker did in one drive: parts[0] is the settling time, then the windows, then the drain.
struct drive_counts {
  std::vector<part_counts> parts;
  clock::time_point stopped;  // plan.stop, or when it was broken off
};

}  // namespace echobench
