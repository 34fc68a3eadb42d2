// What a server has counted: printed when it stops. A connection counts for itself; the server adds the
// counts when the connection ends.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace echobench {

enum class server_error : std::uint8_t {
  unknown_op,       // frame: answered, the connection lives
  param_too_large,  // frame: answered, the connection lives
  too_large,        // frame: answered, then closed
  bad_version,      // frame: answered, then closed
  short_input,      // the peer ended inside a frame
  line_too_long,    // line: closed
  reset,            // the transport failed, mostly because the peer reset it
  idle_timeout,     // no traffic for --idle-timeout
  drain_timeout,    // still busy when --drain-timeout was over
  accept,           // a client was turned away, or must wait: descriptors, memory or threads were lacking
  offload,          // too few threads for offloaded work could be started; with none the loop does the work
  worker_lost,      // a process that serves ended by itself, and its clients with it; another took its place
};
inline constexpr std::array<std::string_view, 12> server_error_names{
    "unknown_op", "param_too_large", "too_large",     "bad_version", "short_input", "line_too_long",
    "reset",      "idle_timeout",    "drain_timeout", "accept",      "offload",     "worker_lost"};

struct server_totals {
  std::uint64_t accepted = 0;
  std::uint64_t requests = 0;  // frames or lines; with raw framing, receives
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t turns = 0;            // of event loops in processes that have ended (serving/turns.hpp)
  std::chrono::nanoseconds burnt{0};  // CPU time that --burn has really used
  std::array<std::uint64_t, server_error_names.size()> errors{};

  void count(server_error kind, std::uint64_t times = 1) noexcept {
    errors[static_cast<std::size_t>(kind)] += times;
  }

  server_totals& operator+=(const server_totals& other) noexcept {
    accepted += other.accepted;
    requests += other.requests;
    bytes_in += other.bytes_in;
    bytes_out += other.bytes_out;
    turns += other.turns;
    burnt += other.burnt;
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += other.errors[i];
    return *this;
  }
};

// What a server returns when it has stopped.
struct server_outcome {
  server_totals totals;
  std::vector<std::uint64_t> requests_of_loops{};  // how evenly they were spread; empty: there are no loops
};

}  // namespace echobench
