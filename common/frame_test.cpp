#include "common/frame.hpp"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

namespace echobench {
namespace {

using wire = std::array<std::byte, frame_header_size>;

template <class... Octets>
wire octets(Octets... values) {
  return {static_cast<std::byte>(values)...};
}

TEST(frame, has_the_documented_layout) {
  const frame_header header{.length = 0x01020304,
                            .version = 5,
                            .op = static_cast<frame_op>(6),
                            .flags = 7,
                            .status = static_cast<frame_status>(8),
                            .param = 0x090A0B0C,
                            .sequence = 0x0D0E0F10};
  const wire expected = octets(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  wire encoded{};
  encode_header(header, encoded);
  EXPECT_EQ(encoded, expected);
  EXPECT_EQ(decode_header(expected), header);
}

TEST(frame, keeps_the_extremes) {
  constexpr auto max = std::numeric_limits<std::uint32_t>::max();
  const frame_header header{.length = max, .version = 255, .flags = 255, .param = max, .sequence = max};
  wire encoded{};
  encode_header(header, encoded);
  EXPECT_EQ(decode_header(encoded), header);
}

TEST(frame, accepts_up_to_each_limit_and_nothing_beyond) {
  const frame_limits limits{.max_frame = 100, .max_work = 10, .max_sleep = 20};
  const auto check = [&](frame_header request) { return check_request(request, limits); };
  EXPECT_EQ(check({.length = 100}), frame_status::ok);
  EXPECT_EQ(check({.length = 101}), frame_status::too_large);
  EXPECT_EQ(check({.op = frame_op::work, .param = 10}), frame_status::ok);
  EXPECT_EQ(check({.op = frame_op::work, .param = 11}), frame_status::param_too_large);
  EXPECT_EQ(check({.op = frame_op::sleep, .param = 20}), frame_status::ok);
  EXPECT_EQ(check({.op = frame_op::sleep, .param = 21}), frame_status::param_too_large);
  EXPECT_EQ(check({.op = frame_op::echo, .param = 1000}), frame_status::ok);
  EXPECT_EQ(check({.op = static_cast<frame_op>(4)}), frame_status::unknown_op);
  EXPECT_EQ(check({.op = static_cast<frame_op>(255)}), frame_status::unknown_op);
  EXPECT_EQ(check({.version = 0}), frame_status::bad_version);
  EXPECT_EQ(check({.version = 2}), frame_status::bad_version);
}

TEST(frame, checks_version_then_length_then_op) {
  const frame_limits limits{.max_frame = 100};
  const auto unknown = static_cast<frame_op>(9);
  EXPECT_EQ(check_request({.length = 101, .version = 2, .op = unknown}, limits), frame_status::bad_version);
  EXPECT_EQ(check_request({.length = 101, .op = unknown}, limits), frame_status::too_large);
}

TEST(frame, ignores_the_other_flags) { EXPECT_EQ(check_request({.flags = 0xFF}, {}), frame_status::ok); }

TEST(frame, reply_is_the_request_with_reply_bit_and_status) {
  const frame_header request{
      .length = 9, .op = frame_op::work, .flags = flag_offload, .param = 3, .sequence = 77};
  frame_header expected = request;
  expected.flags = flag_offload | flag_reply;
  EXPECT_EQ(reply_to(request, frame_status::ok), expected);
  expected.status = frame_status::param_too_large;
  expected.length = 0;
  EXPECT_EQ(reply_to(request, frame_status::param_too_large), expected);
}

TEST(frame, only_a_lost_frame_boundary_closes) {
  EXPECT_FALSE(closes_connection(frame_status::ok));
  EXPECT_FALSE(closes_connection(frame_status::unknown_op));
  EXPECT_FALSE(closes_connection(frame_status::param_too_large));
  EXPECT_TRUE(closes_connection(frame_status::too_large));
  EXPECT_TRUE(closes_connection(frame_status::bad_version));
}

TEST(upper, maps_ascii_letters_and_no_other_byte) {
  std::array<std::byte, 256> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::byte>(i);
  to_upper_ascii(all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto expected = i >= 'a' && i <= 'z' ? i - 'a' + 'A' : i;
    EXPECT_EQ(std::to_integer<std::size_t>(all[i]), expected);
  }
}

}  // namespace
}  // namespace echobench
