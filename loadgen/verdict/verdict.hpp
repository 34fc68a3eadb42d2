// Whether a cell's figures can be believed: a pure function of numbers.
#pragma once

#include "loadgen/session/client_session.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace echobench {

// In order of precedence.
enum class verdict : std::uint8_t { wrong_replies, errors, client_bound, starved, valid };

std::string_view name_of(verdict of) noexcept;

// How evenly connections were served.
struct fairness {
  double jain_index = 1;  // the lowest of a loop's share
  std::vector<std::size_t> connections_per_loop;
};

struct evidence {
  std::array<std::uint64_t, error_kinds> errors{};
  std::uint64_t replies = 0;  // verified, in the measurement
  bool open_loop = false;
  double client_busy = 0;  // client_time::busy() of the busiest thread: 0 to 1 of the measured time
  std::optional<double> server_busy;  // 0 to 1 of the CPUs that it can use; empty without a pid
  std::optional<double> on_schedule;  // share of the sends; open loop
  std::uint64_t unsent = 0;           // open loop: due, never sent
  std::size_t connections = 0;        // that had a request to carry
  std::size_t served = 0;             // of them, with a reply
  fairness spread;
  double idle_share = 0;               // server CPU outside its slices, of the run's time
  std::uint64_t beyond_histogram = 0;  // replies slower than it can hold
};

struct judgement {
  verdict found = verdict::valid;
  std::vector<std::string>
      reasons;  // what was found and what to do, gravest first; a valid cell may have some
};

judgement judge(const evidence& of);

// (sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has everything. 1 when all are 0.
double jain_index(std::span<const double> shares) noexcept;

// Judges connections among those that share a loop of the server, for the kernel divides connections unevenly
// over the accept queues of several loops. Which loop a connection belongs to cannot be seen from outside,
// but a loop that is never idle gives to its connections together as much as any other does, however many
// they are: the shares in ascending order, cut where their sum reaches equal parts of the whole, are the
// loops. With fewer than four connections to a loop that is a guess, for a
// loop may have none; and a few that starve can hide behind a loop that is crowded.
fairness fairness_within_loops(std::vector<double> shares, std::size_t loops);

}  // namespace echobench
