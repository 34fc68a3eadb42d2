// Any input, in any pieces: the session answers exactly what a reading of the whole input at once would
// answer, and never waits for input without giving room for it.
#include "servers/session/session_harness.hpp"

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cassert>

using namespace echobench;

namespace {

using echobench::testing::bytes;
using echobench::testing::encode;
using echobench::testing::harness;

// What the session must answer and count.
struct answers {
  bytes out;
  std::uint64_t requests = 0;
  std::size_t deferred = 0;
  std::optional<server_error> ended_by;
};

bytes upper(bytes text) {
  for (char& letter : text) {
    if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
  }
  return text;
}

answers to_frames(std::string_view in, const frame_limits& limits) {
  answers result;
  while (!in.empty()) {
    if (in.size() < frame_header_size) {
      result.ended_by = server_error::short_input;
      break;
    }
    const auto header = decode_header(std::as_bytes(std::span(in)).first<frame_header_size>());
    in.remove_prefix(frame_header_size);
    const auto status = check_request(header, limits);
    ++result.requests;
    result.out += encode(reply_to(header, status));
    if (closes_connection(status)) {
      result.ended_by =
          status == frame_status::too_large ? server_error::too_large : server_error::bad_version;
      break;
    }
    const bool takes_time = header.op == frame_op::work || header.op == frame_op::sleep;
    result.deferred += status == frame_status::ok && takes_time;
    const bytes payload(in.substr(0, header.length));
    if (status == frame_status::ok) result.out += header.op == frame_op::upper ? upper(payload) : payload;
    if (payload.size() < header.length) result.ended_by = server_error::short_input;
    in.remove_prefix(payload.size());
  }
  return result;
}

answers to_lines(const bytes& in, service mapped) {
  answers result{.out = mapped == service::upper ? upper(in) : in};
  result.requests = static_cast<std::uint64_t>(std::ranges::count(in, '\n'));
  result.requests += !in.empty() && in.back() != '\n';  // the last line may lack its '\n'
  return result;
}

std::size_t receive(echo_session& session, std::string_view piece) {
  const auto space = session.recv_space();
  const auto n = std::min(space.size(), piece.size());
  if (n > 0) std::memcpy(space.data(), piece.data(), n);
  session.received(n);
  return n;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider input(data, size);
  session_options options;
  options.framing = input.PickValueInArray({framing::frame, framing::line, framing::raw});
  options.service = input.PickValueInArray({service::echo, service::upper});
  options.limits.max_frame = input.ConsumeIntegral<std::uint16_t>();
  options.limits.max_work = options.limits.max_sleep = input.ConsumeIntegral<std::uint16_t>();

  const bytes in = input.ConsumeBytesAsString(input.ConsumeIntegralInRange<std::size_t>(0, 1 << 16));
  harness h(options);
  std::string_view rest = in;
  for (int idle = 0; !h.session.ended() && !rest.empty(); assert(idle < 2)) {
    const auto piece = rest.substr(0, input.ConsumeIntegralInRange<std::size_t>(1, 1 << 16));
    const auto taken =
        input.ConsumeBool() ? h.session.offer(std::as_bytes(std::span(piece))) : receive(h.session, piece);
    rest.remove_prefix(taken);
    idle = taken == 0 ? idle + 1 : 0;
    const auto replies = h.session.pending();
    const auto n = input.ConsumeIntegralInRange<std::size_t>(0, replies.size());
    h.sent.append(reinterpret_cast<const char*>(replies.data()), n);
    h.session.sent(n);
    if (n == replies.size() || idle > 0) h.turn();
    if (input.ConsumeBool()) h.session.park();
  }
  h.turn();
  h.session.peer_finished();
  h.turn();

  auto expected = options.framing == framing::frame  ? to_frames(in, options.limits)
                  : options.framing == framing::line ? to_lines(in, options.service)
                                                     : answers{};
  if (options.framing == framing::raw) {
    expected.out = options.service == service::upper ? upper(in) : in;
    expected.requests = h.totals().requests;  // as many as there were pieces
    assert(expected.requests <= in.size());
  }
  assert(h.session.finished());
  assert(h.sent == expected.out);
  assert(h.carried_out.size() == expected.deferred);
  const auto totals = h.totals();
  assert(totals.requests == expected.requests);
  assert(totals.bytes_out == expected.out.size());
  assert(totals.bytes_in <= in.size());
  if (expected.ended_by) assert(h.errors(*expected.ended_by) == 1);
  return 0;
}
