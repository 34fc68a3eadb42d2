#include "servers/conformance/exchange.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <span>

namespace echobench::testing {
namespace {

bytes encode(const frame_header& header, std::string_view payload) {
  bytes wire(frame_header_size, '\0');
  encode_header(header, std::as_writable_bytes(std::span(wire)).first<frame_header_size>());
  return wire.append(payload);
}

}  // namespace

exchange& operator+=(exchange& a, const exchange& b) {
  a.request += b.request;
  a.reply += b.reply;
  return a;
}

exchange operator+(exchange a, const exchange& b) { return a += b; }

exchange frame(std::string_view payload, std::uint32_t sequence, frame_op op, std::chrono::microseconds param,
               std::uint8_t flags) {
  const frame_header request{.length = static_cast<std::uint32_t>(payload.size()),
                             .op = op,
                             .flags = flags,
                             .param = static_cast<std::uint32_t>(param.count()),
                             .sequence = sequence};
  frame_header reply = request;
  reply.flags |= flag_reply;
  bytes answered(payload);
  if (op == frame_op::upper) to_upper_ascii(std::as_writable_bytes(std::span(answered)));
  return {encode(request, payload), encode(reply, answered)};
}

exchange refused(std::string_view payload, frame_header request, frame_status status) {
  frame_header reply = request;
  reply.flags |= flag_reply;
  reply.status = status;
  reply.length = 0;
  return {encode(request, payload), encode(reply, "")};
}

bytes text(std::size_t size, std::uint32_t seed) {
  bytes result(size, '\0');
  char* const end = result.data() + size;  // not an iterator: its calls are slow under sanitizers
  for (char* c = result.data(); c != end; ++c) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    *c = "abcdefghijklmnopqrstuvwxyzABCDEF"[seed >> 27];
  }
  return result;
}

exchange message(const std::string& framing, std::size_t size, std::uint32_t seed) {
  const bytes body = text(size, seed);
  if (framing == "frame") return frame(body, seed);
  const bytes wire = framing == "line" ? body + "\n" : body;
  return {wire, wire};
}

// gtest would print both values: megabytes.
void expect_same(const bytes& got, const bytes& expected) {
  if (expected.size() <= 200) {
    EXPECT_EQ(got, expected);
    return;
  }
  EXPECT_EQ(got.size(), expected.size());
  expect_prefix(got, expected);
}

void expect_prefix(const bytes& got, const bytes& expected) {
  const auto differs =
      std::mismatch(got.begin(), got.end(), expected.begin(), expected.end()).first - got.begin();
  EXPECT_EQ(static_cast<std::size_t>(differs), got.size()) << "is the first byte that differs";
}

void expect_exchange(client& peer, const exchange& e) {
  peer.send(e.request);
  expect_same(peer.receive(e.reply.size()), e.reply);
}

void expect_duplex(client& peer, const exchange& e) {
  const auto sender = std::async(std::launch::async, [&] { peer.send(e.request); });
  expect_same(peer.receive(e.reply.size()), e.reply);
}

}  // namespace echobench::testing
