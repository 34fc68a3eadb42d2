// Whether a cell's figures can be believed: a pure function of numbers.
#pragma once

#include "loadgen/probe/local_ports.hpp"
#include "loadgen/record/backlog.hpp"
#include "loadgen/session/load_error.hpp"
#include "loadgen/verdict/fairness.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace echobench {

// In order of precedence.
enum class verdict : std::uint8_t { wrong_replies, errors, client_bound, overloaded, starved, valid };

std::string_view name_of(verdict of) noexcept;

struct evidence {
  std::array<std::uint64_t, load_error_kinds> errors{};
  int refused_errno = 0;             // of the first connection that was refused; 0: none
  std::optional<local_ports> ports;  // of this host, where it has too few
  std::uint64_t replies = 0;         // verified, settling times and drains included
  std::uint64_t answered = 0;        // requests that make the throughput
  bool open_loop = false;
  double client_busy = 0;  // client_time::busy() of the busiest thread: 0 to 1 of the measured time
  double kept_away = 0;    // client_time::kept_away() of the thread that it is worst for: 0 to 1
  std::optional<double> server_busy;               // 0 to 1 of the CPUs that it can use; empty without a pid
  std::optional<double> on_schedule;               // share of the sends; open loop
  std::uint64_t dropped = 0;                       // open loop: due, never sent
  std::optional<backlog_growth> backlog;           // open loop
  double offered = 0;                              // open loop: requests per second that were due
  double throughput = 0;                           // requests per second that were answered
  std::chrono::nanoseconds service{0};             // mean time of a reply; of a mix, of the longest operation
  std::chrono::nanoseconds measured_at_a_time{0};  // without a break
  std::size_t connections = 0;                     // that had a request to carry
  std::size_t served = 0;                          // of them, with a reply
  fairness spread;
  double jain_index_by_chance = 1;          // of connections that are served alike
  double concurrency = 0;                   // requests in flight, mean
  std::optional<double> concurrency_asked;  // empty: the load does not hold it constant
  double ceiling_share = 0;                 // of what the client reaches at most; 0: not measured
  double idle_share = 0;                    // server CPU outside its slices, of the run's time
  std::uint64_t listen_overflows = 0;       // of the whole system, meanwhile
  std::uint64_t retransmissions = 0;        // segments of the whole system, meanwhile
  double stolen_share = 0;                  // of all CPUs together, of the measured time of one
  std::uint64_t beyond_histogram = 0;       // replies slower than it can hold
  std::string server_remark;                // whether --server-pid is the server; empty: it is
};

struct judgement {
  verdict found = verdict::valid;
  // What was seen and what to do, gravest first; a valid cell may have some.
  std::vector<std::string> reasons;

  void add(verdict of, std::string reason);
};

judgement judge(const evidence& of);

}  // namespace echobench
