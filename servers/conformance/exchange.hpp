// For tests: what is sent, and what must come back. All bytes are compared.
#pragma once

#include "common/frame.hpp"
#include "servers/conformance/client.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace echobench::testing {

struct exchange {
  bytes request;
  bytes reply;
};

exchange& operator+=(exchange& a, const exchange& b);
exchange operator+(exchange a, const exchange& b);

exchange frame(std::string_view payload, std::uint32_t sequence, frame_op op = frame_op::echo,
               std::chrono::microseconds param = {}, std::uint8_t flags = 0);
// A frame that is answered with this status.
exchange refused(std::string_view payload, frame_header request, frame_status status);

// Text that differs at every place and for every seed.
bytes text(std::size_t size, std::uint32_t seed);

// A message in this framing, with `size` bytes of text.
exchange message(const std::string& framing, std::size_t size, std::uint32_t seed);

void expect_same(const bytes& got, const bytes& expected);
// Expects that `got` is all of `expected`, or its beginning.
void expect_prefix(const bytes& got, const bytes& expected);
void expect_exchange(client& peer, const exchange& e);
// Sends while it receives, so that neither side waits for the other's buffers.
void expect_duplex(client& peer, const exchange& e);

}  // namespace echobench::testing
