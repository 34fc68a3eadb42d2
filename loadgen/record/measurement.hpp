// What a run found: plain data, from the coordinator to verdict and reports.
#pragma once

#include "loadgen/plan/engine.hpp"
#include "loadgen/plan/slice_plan.hpp"
#include "loadgen/plan/target.hpp"
#include "loadgen/probe/server_reading.hpp"
#include "loadgen/record/target_record.hpp"
#include "loadgen/verdict/verdict.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace echobench {

struct slice {
  std::size_t index = 0;                               // round; with one target, window
  std::uint64_t requests = 0;                          // replies in [end of guard, start of drain)
  std::chrono::nanoseconds elapsed{0};                 // of that
  std::uint64_t requests_total = 0;                    // guard and drain included
  std::optional<std::chrono::nanoseconds> server_cpu;  // of the whole slice; empty without a pid
  std::chrono::nanoseconds client_cpu{0};              // likewise
};

struct cell {
  target driven;
  std::size_t opened = 0;  // idle ones included
  std::size_t served = 0;
  std::uint64_t requests = 0;
  std::uint64_t requests_total = 0;
  std::uint64_t bytes_out = 0;  // as `requests`: in the time that counts, headers included
  std::uint64_t bytes_in = 0;
  std::uint64_t due = 0;  // open loop: requests that the schedule held for the measurement
  std::chrono::nanoseconds elapsed{0};
  std::chrono::nanoseconds connecting{
      0};  // rr: the time in which connections were opened, of all targets at once
  std::chrono::nanoseconds client_cpu{0};
  std::chrono::nanoseconds client_waiting{0};  // for a CPU
  std::chrono::nanoseconds client_polling{0};
  std::chrono::nanoseconds client_blocked{0};  // asleep until there were events
  double client_busy = 0;  // client_time::busy() of the busiest thread: 0 to 1 of the measured time
  double jain_index = 1;   // over all connections
  std::chrono::nanoseconds longest_wait{0};  // of a connection for a reply, in a measured drive
  std::size_t longest_waiting = 0;           // which
  fairness spread;                           // closed loop: within the server's loops
  target_record record;
  std::vector<slice> slices;
  std::optional<server_use> server;
  judgement judged;

  double per_second(std::uint64_t counted) const noexcept;
  double throughput() const noexcept { return per_second(requests); }
  double connect_rate() const noexcept;           // connections established per second
  double effective_concurrency() const noexcept;  // Little's law: throughput x mean service time
  std::optional<double> on_schedule() const noexcept;
  std::uint64_t wrong_replies() const noexcept;
  std::uint64_t verified() const noexcept { return requests_total; }
};

struct measurement {
  std::chrono::system_clock::time_point started;
  std::chrono::system_clock::time_point finished;
  std::chrono::nanoseconds elapsed{0};  // of the measured part
  slice_plan slices;
  engine_choice io;
  bool interrupted = false;
  std::vector<cell> cells;  // in the order of the targets
};

}  // namespace echobench
