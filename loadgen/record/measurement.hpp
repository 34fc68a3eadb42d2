// What a run found: plain data, from the coordinator to verdict and reports.
#pragma once

#include "loadgen/plan/engine.hpp"
#include "loadgen/plan/rate_search.hpp"
#include "loadgen/plan/slice_plan.hpp"
#include "loadgen/plan/target.hpp"
#include "loadgen/probe/server_check.hpp"
#include "loadgen/probe/server_reading.hpp"
#include "loadgen/probe/system_counters.hpp"
#include "loadgen/record/drive_counts.hpp"
#include "loadgen/record/interval.hpp"
#include "loadgen/record/rank_share.hpp"
#include "loadgen/record/target_record.hpp"
#include "loadgen/verdict/verdict.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace echobench {

struct slice {
  std::size_t index = 0;                // round; with one target, window
  std::uint64_t requests = 0;           // replies in [end of the settling time, start of drain)
  std::chrono::nanoseconds elapsed{0};  // of that
  std::uint64_t requests_total = 0;     // settling time and drain included
  std::optional<std::chrono::nanoseconds> server_cpu;  // of the whole slice; empty without a pid
  std::chrono::nanoseconds client_cpu{0};              // likewise
};

struct longest_wait {
  std::size_t connection = 0;
  std::chrono::nanoseconds time{0};
};

struct slowest_connection {
  std::size_t connection = 0;
  double share = 0;  // of what it was asked for; closed loop: replies
  std::uint64_t replies = 0;
};

struct cell {
  target driven;
  reached_target reached;
  server_check checked;    // of --server-pid
  std::uint64_t rate = 0;  // requests per second that were due; 0: closed loop
  double capacity = 0;     // of the target in a closed loop, where that was measured; per second
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
  double client_busy = 0;      // client_time::busy() of the busiest thread: 0 to 1 of the measured time
  double jain_index = 1;       // over all connections
  std::size_t drives = 0;      // times that it was driven without a break
  std::size_t given_work = 0;  // connections that had a request to carry
  struct longest_wait longest_wait;
  slowest_connection slowest;
  std::vector<client_time> client_times;  // of each thread
  std::chrono::nanoseconds span{
      0};  // from the begin of its measurement to the end, other cells' slices included
  std::vector<rank_share> ranks;  // where the client is several processes
  system_counters system;         // since the cells before it ended, or since before anything connected
  std::chrono::nanoseconds system_span{0};
  fairness spread;  // closed loop: within the server's loops
  target_record record;
  std::vector<slice> slices;
  std::vector<std::chrono::nanoseconds> slowest_of_windows;  // of the replies counted in each
  std::optional<server_use> server;
  judgement judged;

  // The histogram whose times count: response in the open loop, else service.
  const histogram& latency() const noexcept { return rate != 0 ? record.response : record.service; }

  // Of latency(): how many windows saw a reply that took so long or longer, within the precision. A stall
  // ends at one moment: however many connections it held, it is one event, or two.
  std::size_t events_from(std::chrono::nanoseconds time) const noexcept;

  // Of latency(): empty when it would be a guess, because fewer than 100 samples lie beyond it, or because
  // they came in fewer than 5 of 50 windows or more.
  std::optional<std::chrono::nanoseconds> supported_percentile(double percent) const noexcept;

  double per_second(std::uint64_t counted) const noexcept;
  double throughput() const noexcept { return per_second(requests); }
  double connect_rate() const noexcept;  // connections established per second
  // By Little's law: the rate of those that were sent while it counted, by their mean service time.
  double effective_concurrency() const noexcept;
  std::optional<double> on_schedule() const noexcept;
  std::uint64_t wrong_replies() const noexcept;
  std::uint64_t verified() const noexcept { return requests_total; }
};

// What a search for the highest rate found of a target; its trials are cells.
struct maximum_rate {
  std::size_t target = 0;
  double capacity = 0;  // requests per second that it answered in a closed loop
  rate_search_result found;
  std::vector<std::size_t> cells;  // of each trial
  std::size_t lost = 0;            // connections that failed, which ended the search
};

// What the client reached in a closed loop against a server that only gives back what comes.
struct client_ceiling {
  double throughput = 0;   // requests per second
  double client_busy = 0;  // 0 to 1, of the busiest thread: below 1 the null server was the bottleneck
  double server_busy = 0;  // 0 to 1, of its CPUs
};

struct measurement {
  std::chrono::system_clock::time_point started;
  std::chrono::system_clock::time_point finished;
  std::chrono::nanoseconds elapsed{0};  // of the measured part
  slice_plan slices;
  engine_choice io;
  std::optional<client_ceiling> ceiling;
  bool interrupted = false;
  std::vector<cell> cells;                  // in the order of the targets
  std::vector<interval> intervals;          // in the order of their ends, where they were wanted
  std::string intervals_missing;            // why lines of --intervals were not written; empty: all were
  std::vector<maximum_rate> maximum_rates;  // where objectives were given
};

}  // namespace echobench
