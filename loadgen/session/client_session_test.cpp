#include "loadgen/session/client_session.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace echobench {
namespace {

using finding = client_session::finding;
using bytes = std::vector<std::byte>;

constexpr std::size_t largest = 100'000;

const payload_pool& pool() {
  static const payload_pool shared(1, largest);
  return shared;
}

message_plan plan_of(framing kind, std::size_t payload, const operation& op = {}) {
  const auto size = static_cast<std::uint32_t>(payload);
  return {{.frames = kind, .operations = {{op}}, .payloads = {{.low = size, .high = size}}}, pool()};
}

std::string text_of(std::span<const std::byte> from) {
  return {reinterpret_cast<const char*>(from.data()), from.size()};
}

// What a session sends, taken `step` bytes at a time.
bytes send_all(client_session& session, std::size_t step, std::size_t scratch_size = 4096) {
  bytes scratch(scratch_size);
  bytes out;
  for (auto next = session.pending(scratch); !next.empty(); next = session.pending(scratch)) {
    const auto taken = next.first(std::min(step, next.size()));
    out.insert(out.end(), taken.begin(), taken.end());
    session.sent(taken.size());
  }
  return out;
}

// The server: what a correct one answers, by its own reading of the protocol.
bytes answer(framing kind, bytes request, bool upper) {
  if (kind != framing::frame) {
    if (upper) to_upper_ascii(request);
    return request;
  }
  for (std::size_t at = 0; at < request.size();) {
    const auto wire = std::span(request).subspan(at).first<frame_header_size>();
    const auto header = decode_header(wire);
    EXPECT_EQ(check_request(header, {}), frame_status::ok);
    encode_header(reply_to(header, frame_status::ok), wire);
    if (header.op == frame_op::upper) {
      to_upper_ascii(std::span(request).subspan(at + frame_header_size, header.length));
    }
    at += frame_header_size + header.length;
  }
  return request;
}

client_session::progress deliver(client_session& session, std::span<const std::byte> from, std::size_t step) {
  client_session::progress sum;
  for (std::size_t at = 0; at < from.size() && sum.found == finding::good; at += step) {
    const auto progress = session.received(from.subspan(at, std::min(step, from.size() - at)));
    sum.replies += progress.replies;
    sum.found = progress.found;
  }
  return sum;
}

struct shape {
  framing kind;
  std::size_t payload;
  bool upper;
};

class session_of_each_shape : public testing::TestWithParam<shape> {
protected:
  const message_plan plan_ = plan_of(GetParam().kind, GetParam().payload,
                                     {.kind = GetParam().upper ? frame_op::upper : frame_op::echo});
  bytes reply_to_all(const bytes& request) { return answer(GetParam().kind, request, GetParam().upper); }
};

TEST_P(session_of_each_shape, accepts_correct_replies_split_in_any_way) {
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{7}, std::size_t{16}, std::size_t{4096}, 4 * largest}) {
    if (plan_.largest_size() > 1000 && step == 1) continue;
    client_session session(plan_, 5);
    for (int i = 0; i < 3; ++i) session.request();
    const bytes request = send_all(session, step);
    ASSERT_EQ(request.size(), 3 * plan_.largest_size());
    const auto seen = deliver(session, reply_to_all(request), step);
    EXPECT_EQ(seen.found, finding::good) << "step " << step;
    EXPECT_EQ(seen.replies, 3U) << "step " << step;
    EXPECT_EQ(session.outstanding(), 0U);
  }
}

TEST_P(session_of_each_shape, sends_the_same_bytes_however_they_are_taken) {
  client_session whole(plan_, 9);
  client_session parts(plan_, 9);
  for (int i = 0; i < 2; ++i) {
    whole.request();
    parts.request();
  }
  EXPECT_EQ(send_all(whole, 1 << 20), send_all(parts, 13, 64));
}

TEST_P(session_of_each_shape, finds_any_wrong_byte) {
  client_session original(plan_, 5);
  original.request();
  const bytes reply = reply_to_all(send_all(original, 1 << 20));
  const std::size_t stride = std::max<std::size_t>(reply.size() / 200, 1);
  for (std::size_t wrong = 0; wrong < reply.size(); wrong += stride) {
    for (const std::size_t step : {std::size_t{11}, reply.size()}) {
      client_session session(plan_, 5);
      session.request();
      send_all(session, 1 << 20);
      bytes bad = reply;
      bad[wrong] ^= std::byte{0x20};
      const auto seen = deliver(session, bad, step);
      EXPECT_NE(seen.found, finding::good) << "byte " << wrong;
      EXPECT_EQ(seen.replies, 0U);
    }
  }
}

TEST_P(session_of_each_shape, finds_bytes_that_nothing_asked_for) {
  client_session session(plan_, 5);
  session.request();
  bytes reply = reply_to_all(send_all(session, 1 << 20));
  reply.push_back(std::byte{'x'});
  const auto seen = deliver(session, reply, reply.size());
  EXPECT_EQ(seen.replies, 1U);
  EXPECT_EQ(seen.found, finding::unsolicited);

  client_session idle(plan_, 5);
  EXPECT_EQ(deliver(idle, reply, 1).found, finding::unsolicited);
}

TEST_P(session_of_each_shape, an_echo_is_never_ahead_of_its_request) {
  client_session session(plan_, 5);
  session.request();
  bytes scratch(1 << 20);
  const auto request = session.pending(scratch);
  const bytes reply = reply_to_all({request.begin(), request.end()});
  session.sent(reply.size() / 2);
  EXPECT_EQ(deliver(session, reply, 1).found, finding::unsolicited);
}

std::string name_of_shape(const testing::TestParamInfo<shape>& info) {
  const std::string kind = info.param.kind == framing::frame  ? "frame"
                           : info.param.kind == framing::line ? "line"
                                                              : "raw";
  return kind + std::to_string(info.param.payload) + (info.param.upper ? "_upper" : "");
}

INSTANTIATE_TEST_SUITE_P(all, session_of_each_shape,
                         testing::Values(shape{framing::frame, 0, false}, shape{framing::frame, 1, false},
                                         shape{framing::frame, 64, false}, shape{framing::frame, 64, true},
                                         shape{framing::frame, largest, false},
                                         shape{framing::line, 0, false}, shape{framing::line, 5, false},
                                         shape{framing::line, 64, true}, shape{framing::raw, 1, false},
                                         shape{framing::raw, 64, false}, shape{framing::raw, largest, true}),
                         name_of_shape);

// The reply to request `sequence` of `connection`.
bytes reply_of(const message_plan& plan, framing kind, std::uint32_t connection, int sequence) {
  client_session session(plan, connection);
  for (int i = 0; i <= sequence; ++i) session.request();
  const bytes replies = answer(kind, send_all(session, 1 << 20), false);
  return {replies.end() - static_cast<std::ptrdiff_t>(plan.largest_size()), replies.end()};
}

TEST(client_session, a_stale_or_swapped_reply_is_corrupt) {
  for (const framing kind : {framing::frame, framing::line, framing::raw}) {
    for (const std::size_t payload : {std::size_t{4}, std::size_t{12}, std::size_t{64}}) {
      const message_plan plan = plan_of(kind, payload);
      client_session session(plan, 1);
      session.request();
      session.request();
      send_all(session, 1 << 20);
      ASSERT_EQ(deliver(session, reply_of(plan, kind, 1, 0), 1 << 20).replies, 1U);
      client_session stale = session;
      EXPECT_EQ(deliver(stale, reply_of(plan, kind, 1, 0), 1 << 20).found, finding::corrupt);
      client_session swapped = session;
      EXPECT_EQ(deliver(swapped, reply_of(plan, kind, 2, 1), 1 << 20).found, finding::corrupt);
      EXPECT_EQ(deliver(session, reply_of(plan, kind, 1, 1), 1 << 20).found, finding::good);
    }
  }
}

TEST(client_session, an_error_status_is_a_rejection_and_not_a_wrong_reply) {
  const message_plan plan =
      plan_of(framing::frame, 64, {.kind = frame_op::work, .param = std::chrono::microseconds(9)});
  for (const std::size_t step : {std::size_t{1}, std::size_t{16}}) {
    client_session session(plan, 1);
    session.request();
    const bytes request = send_all(session, 1 << 20);
    bytes reply(frame_header_size);
    const auto header = decode_header(std::span(request).first<frame_header_size>());
    encode_header(reply_to(header, frame_status::param_too_large),
                  std::span(reply).first<frame_header_size>());
    client_session other = session;
    EXPECT_EQ(deliver(session, reply, step).found, finding::rejected);

    reply[15] ^= std::byte{1};  // of another request
    EXPECT_EQ(deliver(other, reply, step).found, finding::corrupt);
  }
}

TEST(client_session, an_end_in_the_middle_leaves_the_request_outstanding) {
  const message_plan plan = plan_of(framing::frame, 64);
  client_session session(plan, 1);
  session.request();
  const bytes reply = answer(framing::frame, send_all(session, 1 << 20), false);
  EXPECT_EQ(deliver(session, std::span(reply).first(reply.size() - 1), 1 << 20).replies, 0U);
  EXPECT_EQ(session.outstanding(), 1U);
}

TEST(client_session, a_restart_forgets_what_was_in_flight) {
  const message_plan plan = plan_of(framing::line, 20);
  client_session session(plan, 1);
  session.request();
  bytes scratch(8);
  session.sent(session.pending(scratch).size());
  session.restart();
  EXPECT_EQ(session.outstanding(), 0U);
  EXPECT_FALSE(session.has_pending());
  session.request();
  const bytes request = send_all(session, 1 << 20);
  EXPECT_EQ(request, reply_of(plan, framing::line, 1, 1)) << "the next sequence";
  EXPECT_EQ(deliver(session, request, 3).replies, 1U);
}

const message_spec mixed{.operations = parse_operations("mix:echo@8,upper@1,work:5us@1"),
                         .payloads = parse_payloads("mix:13-400@1,2000@1"),
                         .seed = 3};

TEST(client_session, a_mix_of_operations_and_sizes_is_checked_however_it_is_split) {
  const message_plan plan(mixed, pool());
  for (const std::size_t step : {std::size_t{1}, std::size_t{100}, std::size_t{1} << 20}) {
    client_session session(plan, 5);
    for (int i = 0; i < 200; ++i) session.request();
    const bytes request = send_all(session, step);
    bytes reply = answer(framing::frame, request, false);
    client_session other = session;
    const auto seen = deliver(session, reply, step);
    EXPECT_EQ(seen.found, finding::good);
    EXPECT_EQ(seen.replies, 200U);
    reply[reply.size() - 1] ^= std::byte{1};
    EXPECT_EQ(deliver(other, reply, step).replies, 199U);
  }
}

// A wrong reply of each kind, wherever it falls, however it is cut: none passes.
TEST(client_session, no_wrong_reply_passes_of_a_hundred_thousand) {
  enum class wrong { flipped, swapped, truncated, duplicated, of_another_connection };
  constexpr std::size_t requests = 4;
  std::mt19937_64 random(11);
  int caught = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto kind = static_cast<framing>(random() % 3);
    const auto size = static_cast<std::uint32_t>(1 + random() % 80);
    const message_plan plan = plan_of(kind, size);
    const auto stride = static_cast<std::ptrdiff_t>(plan.largest_size());
    const auto connection = static_cast<std::uint32_t>(random() % 1000);
    client_session session(plan, connection);
    for (std::size_t k = 0; k < requests; ++k) session.request();
    bytes replies = answer(kind, send_all(session, 1 << 20), false);
    const auto which = static_cast<std::ptrdiff_t>(random() % (requests - 1));
    const auto first = replies.begin() + which * stride;
    const bytes right = replies;
    switch (static_cast<wrong>(i % 5)) {
      case wrong::flipped:
        first[static_cast<std::ptrdiff_t>(random() % plan.largest_size())] ^= std::byte(1U << random() % 8);
        break;
      case wrong::swapped: std::swap_ranges(first, first + stride, first + stride); break;
      case wrong::truncated:
        replies.erase(first, first + 1 + static_cast<std::ptrdiff_t>(random() % plan.largest_size()));
        break;
      case wrong::duplicated: {
        const bytes copy(first, first + stride);
        replies.insert(first, copy.begin(), copy.end());
        break;
      }
      case wrong::of_another_connection: {
        client_session other(plan, connection + 1 + static_cast<std::uint32_t>(random() % 1000));
        for (std::size_t k = 0; k < requests; ++k) other.request();
        const bytes theirs = answer(kind, send_all(other, 1 << 20), false);
        std::copy_n(theirs.begin() + which * stride, stride, first);
        break;
      }
    }
    if (replies == right) {  // texts of one letter or two repeat
      ++caught;
      continue;
    }
    const auto seen = deliver(session, replies, 1 + random() % 200);
    const bool missed = seen.found == finding::good && session.outstanding() == 0;
    EXPECT_FALSE(missed) << i;
    caught += !missed;
  }
  EXPECT_EQ(caught, 100'000);
}

TEST(message_plan, a_mix_has_its_weights_and_follows_the_seed) {
  const message_plan plan(mixed, pool());
  message_spec other = mixed;
  other.seed = 4;
  const message_plan differs(other, pool());
  std::map<std::uint32_t, int> operations;
  int large = 0;
  int alike = 0;
  for (std::uint64_t sequence = 0; sequence < 10'000; ++sequence) {
    const auto message = plan.message_of(7, sequence);
    ++operations[message.operation];
    large += message.payload == 2000;
    EXPECT_TRUE(message.payload == 2000 || (message.payload >= 13 && message.payload <= 400));
    alike += differs.message_of(7, sequence).payload == message.payload;
    EXPECT_EQ(plan.operation_of(7, sequence), message.operation);
  }
  EXPECT_NEAR(operations[0], 8000, 200);
  EXPECT_NEAR(operations[1], 1000, 150);
  EXPECT_NEAR(operations[2], 1000, 150);
  EXPECT_NEAR(large, 5000, 250);
  EXPECT_LT(alike, 4000);
}

TEST(message_plan, large_payloads_are_sent_from_the_pool) {
  const message_plan plan = plan_of(framing::frame, largest);
  client_session session(plan, 1);
  session.request();
  bytes scratch(1024);
  const auto first = session.pending(scratch);
  EXPECT_EQ(first.data(), scratch.data());
  session.sent(first.size());
  const auto rest = session.pending(scratch);
  EXPECT_EQ(rest.size(), plan.largest_size() - first.size());
  EXPECT_NE(rest.data(), scratch.data());
}

TEST(payload_pool, no_two_requests_have_the_same_text) {
  for (const std::size_t size : {payload_pool::tag_size, std::size_t{64}}) {
    const message_plan plan = plan_of(framing::raw, size);
    std::set<std::string> seen;
    bytes text(size);
    for (std::uint32_t connection = 0; connection < 300; ++connection) {
      for (std::uint64_t sequence = 0; sequence < 300; ++sequence) {
        plan.copy_request(plan.message_of(connection, sequence), 0, text);
        EXPECT_TRUE(seen.insert(text_of(text)).second) << connection << '/' << sequence;
      }
    }
  }
}

TEST(payload_pool, short_texts_differ_between_neighbours) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{2}, std::size_t{4}}) {
    const message_plan plan = plan_of(framing::line, size);
    bytes text(size);
    bytes other(size);
    for (std::uint32_t connection = 0; connection < 200; ++connection) {
      plan.copy_request(plan.message_of(connection, 7), 0, text);
      plan.copy_request(plan.message_of(connection, 8), 0, other);
      EXPECT_NE(text, other);
      plan.copy_request(plan.message_of(connection + 1, 7), 0, other);
      EXPECT_NE(text, other);
    }
  }
}

TEST(payload_pool, texts_are_letters_and_digits_and_follow_the_seed) {
  const payload_pool same(1, largest);
  const payload_pool other(2, largest);
  const auto window = pool().window(3, 4, 5000);
  EXPECT_TRUE(std::ranges::all_of(window, [](std::byte character) {
    return std::isalnum(std::to_integer<unsigned char>(character)) != 0;
  }));
  EXPECT_TRUE(std::ranges::equal(window, same.window(3, 4, 5000)));
  EXPECT_FALSE(std::ranges::equal(window, other.window(3, 4, 5000)));
}

}  // namespace
}  // namespace echobench
