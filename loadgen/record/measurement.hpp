// What a run found: plain data, from the coordinator to verdict and reports.
#pragma once

#include "loadgen/plan/engine.hpp"
#include "loadgen/plan/rate_search.hpp"
#include "loadgen/plan/slice_plan.hpp"
#include "loadgen/plan/target.hpp"
#include "loadgen/probe/server_check.hpp"
#include "loadgen/probe/server_reading.hpp"
#include "loadgen/probe/system_counters.hpp"
#include "loadgen/record/backlog.hpp"
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
  std::size_t index = 0;                               // round; with one target, a part of its time
  std::uint64_t requests = 0;                          // see count_requests()
  std::chrono::nanoseconds elapsed{0};                 // in which they were answered
  double served = 0;                                   // in the measured time, as in part_counts
  std::uint64_t answered = 0;                          // of those due in the measured time, as in part_counts
  std::uint64_t requests_total = 0;                    // replies, settling time and drain included
  std::optional<std::chrono::nanoseconds> server_cpu;  // of the whole slice; empty without a pid
  std::chrono::nanoseconds client_cpu{0};              // of the whole slice
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
  std::uint64_t requests = 0;  // see count_requests()
  std::uint64_t requests_total = 0;
  std::uint64_t bytes_out = 0;  // in the measured time, headers included
  std::uint64_t bytes_in = 0;
  std::uint64_t due = 0;                   // open loop: requests that the schedule held for the measurement
  backlog_growth backlog;                  // open loop
  std::chrono::nanoseconds elapsed{0};     // in which `requests` were answered
  std::chrono::nanoseconds driven_for{0};  // drains not included
  std::chrono::nanoseconds measured{0};    // from the ends of the settling times to the starts of the drains
  std::chrono::nanoseconds in_flight{0};   // that requests were, within the measured time, added up
  std::chrono::nanoseconds connecting{
      0};  // rr: the time in which connections were opened, of all targets at once
  std::chrono::nanoseconds client_cpu{0};
  std::optional<std::chrono::nanoseconds> client_waiting{0};  // for a CPU; empty: not known
  std::chrono::nanoseconds client_polling{0};
  std::chrono::nanoseconds client_blocked{0};  // asleep until there were events
  double client_busy = 0;           // client_time::busy() of the busiest thread: 0 to 1 of the measured time
  double client_kept_away = 0;      // client_time::kept_away() of the thread that it is worst for: 0 to 1
  double jain_index = 1;            // over all connections, of what was due to each
  double jain_index_by_chance = 1;  // of connections that are served alike, with so few replies each
  std::size_t drives = 0;           // times that it was driven without a break
  std::size_t given_work = 0;       // connections that had a request to carry
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

  double throughput() const noexcept;                                // requests per second
  double per_measured_second(std::uint64_t counted) const noexcept;  // of what came in the measured time
  double connect_rate() const noexcept;                              // connections established per second
  double effective_concurrency() const noexcept;  // requests in flight, mean over the measured time
  std::optional<double> on_schedule() const noexcept;
  std::uint64_t wrong_replies() const noexcept;
  std::uint64_t verified() const noexcept { return requests_total; }
};

// Sets `requests` and `elapsed` of a cell and of its slices, from what was served and answered in its slices.
//
// Replies that come within a time are the wrong thing to count where a reply takes a good part of it: of
// replies of 1.5 s none come in the first second, though two thirds of each were served in it. In the closed
// loop, and where a server does not keep up with the open loop, each request counts by the share of its
// service time that lies within the measured time. On average that gives the rate of any steady load, and
// exactly that of one which does not vary; the rest of the last requests is awaited in the drain. `requests`
// is the whole number next to it, and `elapsed` is the measured time less or more by as much.
//
// Where a server keeps up with the open loop, what it answers is what was due in the measured time.
void count_requests(cell& of) noexcept;

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
