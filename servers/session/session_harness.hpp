// For tests: a session, its input and its output.
#pragma once

#include "servers/session/echo_session.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace echobench::testing {

using namespace std::chrono_literals;
using bytes = std::string;

inline bytes encode(const frame_header& header, std::string_view payload = "") {
  bytes wire(frame_header_size, '\0');
  encode_header(header, std::as_writable_bytes(std::span(wire)).first<frame_header_size>());
  return wire.append(payload);
}

inline bytes request(std::string_view payload, std::uint32_t sequence, frame_op op = frame_op::echo,
                     std::uint32_t param = 0) {
  return encode(
      {.length = static_cast<std::uint32_t>(payload.size()), .op = op, .param = param, .sequence = sequence},
      payload);
}

inline bytes reply(std::string_view payload, std::uint32_t sequence, frame_op op = frame_op::echo,
                   std::uint32_t param = 0, frame_status status = frame_status::ok) {
  return encode({.length = static_cast<std::uint32_t>(payload.size()),
                 .op = op,
                 .flags = flag_reply,
                 .status = status,
                 .param = param,
                 .sequence = sequence},
                payload);
}

// A session with its pool, and a transport that moves at most `at_most` bytes at a time.
struct harness {
  explicit harness(session_options wanted = {}) : options(wanted) {}

  void flush(std::size_t at_most = 1 << 20) {
    while (!session.pending().empty()) {
      const auto out = session.pending().first(std::min(at_most, session.pending().size()));
      sent.append(reinterpret_cast<const char*>(out.data()), out.size());
      session.sent(out.size());
    }
  }
  // Sends and carries out, as a model would, without waiting.
  void turn(std::size_t at_most = 1 << 20) {
    for (;;) {
      flush(at_most);
      const auto deferred = session.take_deferred();
      if (!deferred) return;
      carried_out.push_back(*deferred);
      session.complete_deferred();
    }
  }
  void feed(std::string_view input, std::size_t at_most = 1 << 20) {
    while (!input.empty()) {
      const auto space = session.recv_space();
      ASSERT_TRUE(!space.empty() || session.finished()) << "nothing to do, and nowhere to receive";
      if (space.empty()) return;
      const std::size_t n = std::min({at_most, space.size(), input.size()});
      std::memcpy(space.data(), input.data(), n);
      session.received(n);
      input.remove_prefix(n);
      turn(at_most);
    }
  }
  server_totals totals() const {
    server_totals result;
    session.add_to(result);
    return result;
  }
  std::uint64_t errors(server_error kind) const { return totals().errors[static_cast<std::size_t>(kind)]; }

  session_options options;
  buffer_pool pool{buffer_pool::use::one_thread};
  echo_session session{options, pool};
  bytes sent;
  std::vector<deferred_request> carried_out;
};

}  // namespace echobench::testing
