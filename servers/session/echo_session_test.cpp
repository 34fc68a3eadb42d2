// The protocol without a socket.
#include "servers/session/session_harness.hpp"

namespace echobench::testing {
namespace {

TEST(echo_session, earlier_replies_are_sent_before_a_request_is_carried_out) {
  harness h;
  const bytes both = request("a", 1) + request("b", 2, frame_op::work, 5) + request("c", 3);
  const auto space = h.session.recv_space();
  std::memcpy(space.data(), both.data(), both.size());
  h.session.received(both.size());
  EXPECT_EQ(h.session.pending().size(), reply("a", 1).size()) << "c must wait for b";
  EXPECT_FALSE(h.session.take_deferred()) << "the reply to a is not sent yet";
  h.session.sent(h.session.pending().size());
  const auto deferred = h.session.take_deferred();
  ASSERT_TRUE(deferred);
  EXPECT_EQ(deferred->what, deferred_request::kind::work);
  EXPECT_EQ(deferred->duration, 5us);
  EXPECT_FALSE(h.session.take_deferred()) << "given once";
  EXPECT_TRUE(h.session.pending().empty());
  h.session.complete_deferred();
  h.flush();
  EXPECT_EQ(h.sent, reply("b", 2, frame_op::work, 5) + reply("c", 3));
}

TEST(echo_session, offload_is_for_work) {
  for (const auto& [op, offloads] : {std::pair(frame_op::work, true), std::pair(frame_op::sleep, false)}) {
    harness h;
    const bytes wire = encode({.op = op, .flags = flag_offload, .param = 1});
    const auto space = h.session.recv_space();
    std::memcpy(space.data(), wire.data(), wire.size());
    h.session.received(wire.size());
    EXPECT_EQ(h.session.take_deferred()->offload, offloads);
  }
}

TEST(echo_session, a_reply_begins_before_its_request_has_arrived) {
  harness h;
  h.feed(request(bytes(1000, 'x'), 1).substr(0, 100));
  EXPECT_EQ(h.sent.size(), 100U);
}

TEST(echo_session, does_not_read_while_the_peer_does_not) {
  harness h;
  const bytes input = request(bytes(1 << 20, 'x'), 1);
  std::string_view rest = input;
  for (auto space = h.session.recv_space(); !space.empty(); space = h.session.recv_space()) {
    const std::size_t n = std::min(space.size(), rest.size());
    std::memcpy(space.data(), rest.data(), n);
    h.session.received(n);
    rest.remove_prefix(n);
  }
  EXPECT_LE(h.session.pending().size(), buffer_pool::large_size);
  EXPECT_FALSE(h.session.finished());
  h.flush();
  EXPECT_FALSE(h.session.recv_space().empty());
}

TEST(echo_session, pending_stays_where_it_is_while_more_arrives) {
  harness h;
  h.feed(bytes());
  const bytes first = request(bytes(20, 'a'), 1);
  auto space = h.session.recv_space();
  std::memcpy(space.data(), first.data(), first.size());
  h.session.received(first.size());
  const std::byte* address = h.session.pending().data();
  h.session.sent(3);
  const bytes second = request(bytes(400, 'b'), 2);
  space = h.session.recv_space();
  const std::size_t n = std::min(space.size(), second.size());
  std::memcpy(space.data(), second.data(), n);
  h.session.received(n);
  EXPECT_EQ(h.session.pending().data(), address + 3);
}

TEST(echo_session, ends_after_a_lost_frame_boundary) {
  for (const auto& [header, status, kind] :
       {std::tuple(frame_header{.length = (1U << 20) + 1}, frame_status::too_large, server_error::too_large),
        std::tuple(frame_header{.version = 9}, frame_status::bad_version, server_error::bad_version)}) {
    harness h;
    frame_header answered = header;
    answered.length = 0;
    answered.flags = flag_reply;
    answered.status = status;
    h.feed(request("fine", 1) + encode(header) + request("not read", 2));
    EXPECT_EQ(h.sent, reply("fine", 1) + encode(answered));
    EXPECT_TRUE(h.session.finished());
    EXPECT_FALSE(h.session.recv_space().empty());
    h.session.received(10);
    EXPECT_FALSE(h.session.peer_has_finished());
    EXPECT_EQ(h.errors(kind), 1U);
    const bytes late = "what comes now is forgotten";
    EXPECT_EQ(h.session.offer(std::as_bytes(std::span(late))), late.size());
    EXPECT_TRUE(h.session.pending().empty());
  }
}

TEST(echo_session, end_of_input_inside_a_frame_is_short) {
  for (const bytes& part : {request("abc", 1).substr(0, 5), request("abc", 1).substr(0, 17)}) {
    harness h;
    h.feed(part);
    h.session.peer_finished();
    h.flush();
    EXPECT_TRUE(h.session.finished());
    EXPECT_EQ(h.errors(server_error::short_input), 1U);
  }
}

TEST(echo_session, end_of_input_waits_for_what_is_deferred) {
  harness h;
  const bytes wire = request("x", 1, frame_op::sleep, 5) + request("y", 2);
  const auto space = h.session.recv_space();
  std::memcpy(space.data(), wire.data(), wire.size());
  h.session.received(wire.size());
  h.session.peer_finished();
  EXPECT_FALSE(h.session.finished());
  h.turn();
  EXPECT_EQ(h.sent, reply("x", 1, frame_op::sleep, 5) + reply("y", 2));
  EXPECT_TRUE(h.session.finished());
  EXPECT_EQ(h.errors(server_error::short_input), 0U);
}

TEST(echo_session, finishes_after_what_was_received_when_the_server_stops) {
  harness h;
  const bytes first = request("one", 1);
  const bytes second = request("two", 2);
  h.feed(first);
  h.session.finish_after(second.size());
  EXPECT_FALSE(h.session.finished());
  EXPECT_EQ(h.session.recv_space().size(), second.size()) << "no more than that is read";
  h.feed(second + request("three", 3));
  EXPECT_EQ(h.sent, reply("one", 1) + reply("two", 2));
  EXPECT_TRUE(h.session.finished());
  EXPECT_EQ(h.errors(server_error::short_input), 0U) << "the peer is not to blame";
}

TEST(echo_session, finishes_at_once_when_idle) {
  harness h;
  h.feed(request("one", 1).substr(0, 7));
  h.session.finish_after(0);
  EXPECT_TRUE(h.session.finished());
}

TEST(echo_session, lines) {
  harness h({.framing = framing::line, .service = service::upper});
  h.feed("one\ntwo\n\nthr", 2);
  EXPECT_EQ(h.sent, "ONE\nTWO\n\n");
  h.session.peer_finished();
  h.flush();
  EXPECT_EQ(h.sent, "ONE\nTWO\n\nTHR");
  EXPECT_EQ(h.totals().requests, 4U);
}

TEST(echo_session, the_longest_line_fits_and_one_more_does_not) {
  const bytes longest(echo_session::max_line - 1, 'x');
  for (const bytes& before : {bytes(), bytes("short\n")}) {
    harness fits({.framing = framing::line});
    fits.feed(before + longest + "\n" + "next\n");
    EXPECT_TRUE(fits.sent == before + longest + "\n" + "next\n");
    harness too_long({.framing = framing::line});
    too_long.feed(before + longest + "x\n");
    EXPECT_EQ(too_long.sent, before);
    EXPECT_TRUE(too_long.session.finished());
    EXPECT_EQ(too_long.errors(server_error::line_too_long), 1U);
  }
}

TEST(echo_session, raw_bytes_come_back_whatever_they_are) {
  harness h({.framing = framing::raw});
  bytes all;
  for (int i = 0; i < 70'000; ++i) all += static_cast<char>(i * 7);
  h.feed(all);
  EXPECT_TRUE(h.sent == all);
  harness upper({.framing = framing::raw, .service = service::upper});
  upper.feed("abc\xe4");
  EXPECT_EQ(upper.sent, "ABC\xe4");
}

TEST(echo_session, burns_for_each_request) {
  harness h({.burn = request_burn(1ms)});
  const auto begin = thread_cpu_time();
  h.feed(request("a", 1) + request("b", 2) + request("c", 3));
  const auto used = thread_cpu_time() - begin;
  EXPECT_GE(h.totals().burnt, 3ms);
  EXPECT_GE(used, 3ms);
  harness without;
  without.feed(request("a", 1));
  EXPECT_EQ(without.totals().burnt, 0ns);
}

TEST(echo_session, holds_no_buffer_while_parked_and_a_small_one_for_small_requests) {
  harness h;
  h.feed(request("a", 1));
  EXPECT_EQ(h.session.recv_space().size(), buffer_pool::small_size);
  h.feed(request(bytes(5000, 'x'), 1));
  EXPECT_EQ(h.session.recv_space().size(), buffer_pool::large_size);
  h.feed(request("a", 1));
  EXPECT_EQ(h.session.recv_space().size(), buffer_pool::small_size);
  h.session.received(0);
  h.session.park();
  EXPECT_EQ(h.session.pending().data(), nullptr);
}

TEST(buffer_pool, lends_again_what_was_returned) {
  buffer_pool pool(buffer_pool::use::many_threads);
  std::byte* first = pool.borrow(buffer_pool::small_size);
  std::byte* second = pool.borrow(buffer_pool::small_size);
  EXPECT_NE(first, second);
  pool.give_back(first, buffer_pool::small_size);
  EXPECT_EQ(pool.borrow(buffer_pool::small_size), first);
  pool.give_back(first, buffer_pool::small_size);
  pool.give_back(second, buffer_pool::small_size);
}

TEST(buffer_pool, leaves_a_reserve_to_others) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer ends a process that asks for too much";
#endif
  std::size_t reserve = 1;
  buffer_pool pool(buffer_pool::use::one_thread, [&reserve] { return reserve; });
  std::byte* const large = pool.borrow(buffer_pool::large_size);
  reserve = std::size_t{1} << 60;  // more than there is
  EXPECT_THROW(pool.borrow(buffer_pool::large_size), std::bad_alloc);
  pool.give_back(pool.borrow(buffer_pool::small_size), buffer_pool::small_size);
  pool.give_back(large, buffer_pool::large_size);
  EXPECT_EQ(pool.borrow(buffer_pool::large_size), large) << "takes no more memory";
  pool.give_back(large, buffer_pool::large_size);
}

}  // namespace
}  // namespace echobench::testing
