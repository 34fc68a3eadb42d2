// The state of a connection without a socket: the next step, whatever happens.
#include "servers/session/connection_state.hpp"

#include "servers/session/session_harness.hpp"

#include <thread>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;
using step = connection_state::step;
using clock = connection_state::clock;

struct state_harness {
  explicit state_harness(framing kind = framing::frame, std::chrono::nanoseconds idle = 0ns,
                         std::chrono::nanoseconds time_to_stop = 1h)
      : options{.session = {.framing = kind}, .idle_timeout = idle},
        drain{stopping.get_token(), time_to_stop} {}

  void receive(std::string_view input) {
    const auto space = state.space();
    ASSERT_LE(input.size(), space.size());
    std::memcpy(space.data(), input.data(), input.size());
    state.received(input.size());
  }
  bytes send() {
    const bytes all(reinterpret_cast<const char*>(state.pending().data()), state.pending().size());
    state.sent(all.size());
    return all;
  }
  std::uint64_t errors(server_error kind) const {
    server_totals totals;
    state.add_to(totals);
    return totals.errors[static_cast<std::size_t>(kind)];
  }

  connection_options options;
  std::stop_source stopping;
  drain_clock drain;
  buffer_pool pool{buffer_pool::use::one_thread};
  connection_state state{options, pool, drain};
};

TEST(connection_state, receives_and_sends_in_turn) {
  state_harness h;
  EXPECT_EQ(h.state.next(), step::receive);
  EXPECT_EQ(h.state.deadline(), connection_state::never);
  h.receive(request("abc", 1));
  EXPECT_EQ(h.state.next(), step::send);
  EXPECT_TRUE(h.state.only_receives_then());
  h.state.sent(5);
  EXPECT_EQ(h.state.next(), step::send) << "a short send";
  EXPECT_EQ(h.send(), reply("abc", 1).substr(5));
  EXPECT_EQ(h.state.next(), step::receive);
  h.state.received(0);
  EXPECT_EQ(h.state.next(), step::close) << "the peer has ended, and all is answered";
}

TEST(connection_state, carries_out_what_takes_time_when_earlier_replies_are_sent) {
  state_harness h;
  h.receive(request("a", 1) + request("", 2, frame_op::work, 1) + request("", 3, frame_op::sleep, 1'000'000));
  EXPECT_EQ(h.state.next(), step::send);
  EXPECT_FALSE(h.state.only_receives_then());
  h.send();
  EXPECT_EQ(h.state.next(), step::work);
  EXPECT_FALSE(h.state.offloads());
  h.state.burn();
  h.state.carried_out();
  EXPECT_EQ(h.state.next(), step::send);
  h.send();
  EXPECT_EQ(h.state.next(), step::sleep);
  EXPECT_GT(h.state.deadline(), clock::now());
  EXPECT_LE(h.state.deadline(), clock::now() + 1s);
  h.state.time_passed();
  EXPECT_EQ(h.state.next(), step::sleep) << "it has not passed";
}

TEST(connection_state, what_arrives_meanwhile_changes_nothing) {
  state_harness h(framing::frame, 1h);
  h.receive(request("", 1, frame_op::sleep, 1'000));
  ASSERT_EQ(h.state.next(), step::sleep);
  const auto wakes_at = h.state.deadline();
  const bytes more = request("more", 2);
  EXPECT_EQ(h.state.offer(std::as_bytes(std::span(more))), more.size());
  h.state.received(0);
  EXPECT_EQ(h.state.next(), step::sleep);
  EXPECT_EQ(h.state.deadline(), wakes_at);
  std::this_thread::sleep_until(wakes_at);
  h.state.time_passed();
  EXPECT_EQ(h.state.next(), step::send);
  EXPECT_EQ(h.send(), reply("", 1, frame_op::sleep, 1'000) + reply("more", 2));
  EXPECT_EQ(h.state.next(), step::close);
}

TEST(connection_state, idles_no_longer_than_the_timeout) {
  state_harness h(framing::raw, 1ms);
  const auto first = h.state.deadline();
  EXPECT_NE(first, connection_state::never);
  h.receive("x");
  EXPECT_GE(h.state.deadline(), first) << "traffic moves the deadline";
  h.send();
  std::this_thread::sleep_until(h.state.deadline());
  h.state.time_passed();
  EXPECT_EQ(h.state.next(), step::close);
  EXPECT_EQ(h.errors(server_error::idle_timeout), 1U);
}

TEST(connection_state, idles_from_when_it_sent_silently) {
  state_harness h(framing::raw, 1h);
  h.receive("a");
  const auto deadline = h.state.deadline();
  h.state.sent_silently(1);
  EXPECT_EQ(h.state.next(), step::receive);
  EXPECT_EQ(h.state.deadline(), deadline);
}

TEST(connection_state, lingers_until_the_peer_ends) {
  state_harness h;
  h.receive(encode({.version = 9}));
  EXPECT_EQ(h.state.next(), step::send);
  h.send();
  EXPECT_EQ(h.state.next(), step::end_sending);
  h.state.sending_ended();
  EXPECT_EQ(h.state.next(), step::receive) << "input is forgotten";
  EXPECT_NE(h.state.deadline(), connection_state::never);
  h.receive("forgotten");
  EXPECT_EQ(h.state.next(), step::receive);
  const bytes more = "forgotten, too";
  EXPECT_EQ(h.state.offer(std::as_bytes(std::span(more))), more.size());
  h.state.failed();
  EXPECT_EQ(h.state.next(), step::close);
  EXPECT_EQ(h.errors(server_error::reset), 0U) << "it was answered and flushed";
  EXPECT_EQ(h.errors(server_error::bad_version), 1U);
}

TEST(connection_state, answers_what_was_received_when_the_server_stops) {
  state_harness h;
  const bytes first = request("first", 1);
  h.state.stop(first.size());
  EXPECT_EQ(h.state.next(), step::receive);
  EXPECT_EQ(h.state.space().size(), first.size()) << "and no more";
  h.receive(first);
  EXPECT_EQ(h.state.next(), step::send);
  h.send();
  EXPECT_EQ(h.state.next(), step::end_sending);

  state_harness idle;
  idle.state.stop(0);
  EXPECT_EQ(idle.state.next(), step::end_sending);
}

TEST(connection_state, is_aborted_when_the_time_to_stop_is_over) {
  state_harness busy;
  busy.receive(request("unsent", 1));
  busy.state.abort();
  EXPECT_EQ(busy.state.next(), step::close);
  EXPECT_EQ(busy.errors(server_error::drain_timeout), 1U);

  state_harness flushed;
  flushed.state.stop(0);
  flushed.state.abort();
  EXPECT_EQ(flushed.state.next(), step::close);
  EXPECT_EQ(flushed.errors(server_error::drain_timeout), 0U);
}

TEST(connection_state, work_that_was_cut_has_no_reply_and_counts_one_error) {
  state_harness h(framing::frame, 0ns, 0ns);
  h.receive(request("long", 1, frame_op::work, 10'000'000));
  ASSERT_EQ(h.state.next(), step::work);
  h.stopping.request_stop();
  h.state.burn();
  h.state.carried_out();
  EXPECT_EQ(h.state.next(), step::close);
  EXPECT_TRUE(h.state.pending().empty());
  EXPECT_EQ(h.errors(server_error::drain_timeout), 1U);
}

TEST(connection_state, work_that_ends_after_the_connection_changes_nothing) {
  state_harness h;
  h.receive(request("short", 1, frame_op::work, 1));
  h.state.abort();
  h.state.burn();
  h.state.carried_out();
  EXPECT_EQ(h.state.next(), step::close);
  EXPECT_TRUE(h.state.pending().empty());
  EXPECT_EQ(h.errors(server_error::drain_timeout), 1U);
}

// Reading may go on for a while: what it brings is no second error of this client.
TEST(connection_state, what_is_received_after_its_end_changes_nothing) {
  state_harness h;
  h.receive(request("cut", 1).substr(0, frame_header_size + 1));
  h.send();
  h.state.failed();
  h.state.received(0);
  const bytes bad = encode({.version = 9});
  EXPECT_EQ(h.state.offer(std::as_bytes(std::span(bad))), bad.size());
  EXPECT_EQ(h.state.next(), step::close);
  EXPECT_EQ(h.errors(server_error::reset), 1U);
  EXPECT_EQ(h.errors(server_error::short_input), 0U);
  EXPECT_EQ(h.errors(server_error::bad_version), 0U);
}

TEST(connection_state, a_failed_transport_ends_the_connection_at_any_step) {
  state_harness h;
  h.receive(request("", 1, frame_op::work, 1));
  h.state.failed();
  EXPECT_EQ(h.state.next(), step::close);
  EXPECT_EQ(h.state.deadline(), connection_state::never);
  EXPECT_EQ(h.errors(server_error::reset), 1U);
  h.state.time_passed();
  EXPECT_EQ(h.state.next(), step::close);
}

}  // namespace
}  // namespace echobench::testing
