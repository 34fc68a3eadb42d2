// Whether a cell's figures can be believed: a pure function of numbers.
#pragma once

#include "loadgen/probe/local_ports.hpp"
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
enum class verdict : std::uint8_t { wrong_replies, errors, client_bound, starved, valid };

std::string_view name_of(verdict of) noexcept;

struct evidence {
  std::array<std::uint64_t, load_error_kinds> errors{};
  int refused_errno = 0;             // of the first connection that was refused; 0: none
  std::optional<local_ports> ports;  // of this host, where it has too few
  std::uint64_t replies = 0;         // verified, in the measurement
  bool open_loop = false;
  double client_busy = 0;  // client_time::busy() of the busiest thread: 0 to 1 of the measured time
  std::optional<double> server_busy;  // 0 to 1 of the CPUs that it can use; empty without a pid
  std::optional<double> on_schedule;  // share of the sends; open loop
  std::uint64_t dropped = 0;          // open loop: due, never sent
  std::size_t connections = 0;        // that had a request to carry
  std::size_t served = 0;             // of them, with a reply
  fairness spread;
  double concurrency = 0;                   // by Little's law
  std::optional<double> concurrency_asked;  // empty: the load does not hold it constant
  double ceiling_share = 0;                 // of what the client reaches at most; 0: not measured
  double idle_share = 0;                    // server CPU outside its slices, of the run's time
  std::uint64_t listen_overflows = 0;       // of the whole system, meanwhile
  std::uint64_t retransmissions = 0;        // likewise, segments
  double stolen_share = 0;                  // of all CPUs together, of the measured time of one
  std::uint64_t beyond_histogram = 0;       // replies slower than it can hold
  std::string server_remark;                // whether --server-pid is the server; empty: it is
};

struct judgement {
  verdict found = verdict::valid;
  std::vector<std::string>
      reasons;  // what was found and what to do, gravest first; a valid cell may have some
};

judgement judge(const evidence& of);

}  // namespace echobench
