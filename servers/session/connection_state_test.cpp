// The state of a connection without a socket: what is next, whatever happens.
#include "servers/session/connection_state.hpp"

#include "servers/session/session_harness.hpp"

#include <thread>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;
using step = connection_state::step;
using clock = connection_state::clock;

struct living {
  explicit living(framing kind = framing::frame, std::chrono::nanoseconds idle = 0ns)
      : options{.session = {.framing = kind}, .idle_timeout = idle} {}

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
  drain_clock drain{stopping.get_token(), 1h};
  buffer_pool pool{buffer_pool::use::one_thread};
  connection_state state{options, pool, drain};
};

TEST(connection_state, receives_and_sends_in_turn) {
  living l;
  EXPECT_EQ(l.state.next(), step::receive);
  EXPECT_EQ(l.state.deadline(), connection_state::never);
  l.receive(request("abc", 1));
  EXPECT_EQ(l.state.next(), step::send);
  EXPECT_TRUE(l.state.only_receives_then());
  l.state.sent(5);
  EXPECT_EQ(l.state.next(), step::send) << "a short send";
  EXPECT_EQ(l.send(), reply("abc", 1).substr(5));
  EXPECT_EQ(l.state.next(), step::receive);
  l.state.received(0);
  EXPECT_EQ(l.state.next(), step::close) << "the peer has ended, and all is answered";
}

TEST(connection_state, carries_out_what_takes_time_when_earlier_replies_are_sent) {
  living l;
  l.receive(request("a", 1) + request("", 2, frame_op::work, 1) + request("", 3, frame_op::sleep, 1'000'000));
  EXPECT_EQ(l.state.next(), step::send);
  EXPECT_FALSE(l.state.only_receives_then());
  l.send();
  EXPECT_EQ(l.state.next(), step::work);
  EXPECT_FALSE(l.state.offloads());
  l.state.burn();
  l.state.carried_out();
  EXPECT_EQ(l.state.next(), step::send);
  l.send();
  EXPECT_EQ(l.state.next(), step::sleep);
  EXPECT_GT(l.state.deadline(), clock::now());
  EXPECT_LE(l.state.deadline(), clock::now() + 1s);
  l.state.time_passed();
  EXPECT_EQ(l.state.next(), step::sleep) << "it has not passed";
}

TEST(connection_state, what_arrives_meanwhile_changes_nothing) {
  living l(framing::frame, 1h);
  l.receive(request("", 1, frame_op::sleep, 1'000));
  ASSERT_EQ(l.state.next(), step::sleep);
  const auto wakes_at = l.state.deadline();
  const bytes more = request("more", 2);
  EXPECT_EQ(l.state.offer(std::as_bytes(std::span(more))), more.size());
  l.state.received(0);
  EXPECT_EQ(l.state.next(), step::sleep);
  EXPECT_EQ(l.state.deadline(), wakes_at);
  std::this_thread::sleep_until(wakes_at);
  l.state.time_passed();
  EXPECT_EQ(l.state.next(), step::send);
  EXPECT_EQ(l.send(), reply("", 1, frame_op::sleep, 1'000) + reply("more", 2));
  EXPECT_EQ(l.state.next(), step::close);
}

TEST(connection_state, idles_no_longer_than_it_may) {
  living l(framing::raw, 1ms);
  const auto first = l.state.deadline();
  EXPECT_NE(first, connection_state::never);
  l.receive("x");
  EXPECT_GE(l.state.deadline(), first) << "what comes or goes moves it on";
  l.send();
  std::this_thread::sleep_until(l.state.deadline());
  l.state.time_passed();
  EXPECT_EQ(l.state.next(), step::close);
  EXPECT_EQ(l.errors(server_error::idle_timeout), 1U);
}

TEST(connection_state, lingers_until_the_peer_ends) {
  living l;
  l.receive(encode({.version = 9}));
  EXPECT_EQ(l.state.next(), step::send);
  l.send();
  EXPECT_EQ(l.state.next(), step::end_sending);
  l.state.sending_ended();
  EXPECT_EQ(l.state.next(), step::receive) << "input is forgotten";
  EXPECT_NE(l.state.deadline(), connection_state::never);
  l.receive("forgotten");
  EXPECT_EQ(l.state.next(), step::receive);
  const bytes more = "forgotten, too";
  EXPECT_EQ(l.state.offer(std::as_bytes(std::span(more))), more.size());
  l.state.failed();
  EXPECT_EQ(l.state.next(), step::close);
  EXPECT_EQ(l.errors(server_error::reset), 0U) << "it was answered and flushed";
  EXPECT_EQ(l.errors(server_error::bad_version), 1U);
}

TEST(connection_state, answers_what_was_received_when_the_server_stops) {
  living l;
  const bytes first = request("first", 1);
  l.state.stop(first.size());
  EXPECT_EQ(l.state.next(), step::receive);
  EXPECT_EQ(l.state.space().size(), first.size()) << "and no more";
  l.receive(first);
  EXPECT_EQ(l.state.next(), step::send);
  l.send();
  EXPECT_EQ(l.state.next(), step::end_sending);

  living idle;
  idle.state.stop(0);
  EXPECT_EQ(idle.state.next(), step::end_sending);
}

TEST(connection_state, is_aborted_when_the_time_to_stop_is_over) {
  living busy;
  busy.receive(request("unsent", 1));
  busy.state.abort();
  EXPECT_EQ(busy.state.next(), step::close);
  EXPECT_EQ(busy.errors(server_error::drain_timeout), 1U);

  living flushed;
  flushed.state.stop(0);
  flushed.state.abort();
  EXPECT_EQ(flushed.state.next(), step::close);
  EXPECT_EQ(flushed.errors(server_error::drain_timeout), 0U);
}

TEST(connection_state, a_failed_transport_ends_it_whatever_it_does) {
  living l;
  l.receive(request("", 1, frame_op::work, 1));
  l.state.failed();
  EXPECT_EQ(l.state.next(), step::close);
  EXPECT_EQ(l.state.deadline(), connection_state::never);
  EXPECT_EQ(l.errors(server_error::reset), 1U);
  l.state.time_passed();
  EXPECT_EQ(l.state.next(), step::close);
}

}  // namespace
}  // namespace echobench::testing
