// The life of a connection without a socket: what is next, whatever happens.
#include "servers/session/connection_life.hpp"

#include "servers/session/session_harness.hpp"

#include <thread>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;
using step = connection_life::step;
using clock = connection_life::clock;

struct living {
  explicit living(framing kind = framing::frame, std::chrono::nanoseconds idle = 0ns)
      : options{.session = {.framing = kind}, .idle_timeout = idle} {}

  void receive(std::string_view input) {
    const auto space = life.space();
    ASSERT_LE(input.size(), space.size());
    std::memcpy(space.data(), input.data(), input.size());
    life.received(input.size());
  }
  bytes send() {
    const bytes all(reinterpret_cast<const char*>(life.pending().data()), life.pending().size());
    life.sent(all.size());
    return all;
  }
  std::uint64_t errors(server_error kind) const {
    server_totals totals;
    life.add_to(totals);
    return totals.errors[static_cast<std::size_t>(kind)];
  }

  connection_options options;
  std::stop_source stopping;
  drain_clock drain{stopping.get_token(), 1h};
  buffer_pool pool{buffer_pool::use::one_thread};
  connection_life life{options, pool, drain};
};

TEST(connection_life, receives_and_sends_in_turn) {
  living l;
  EXPECT_EQ(l.life.next(), step::receive);
  EXPECT_EQ(l.life.deadline(), connection_life::never);
  l.receive(request("abc", 1));
  EXPECT_EQ(l.life.next(), step::send);
  EXPECT_TRUE(l.life.only_receives_then());
  l.life.sent(5);
  EXPECT_EQ(l.life.next(), step::send) << "a short send";
  EXPECT_EQ(l.send(), reply("abc", 1).substr(5));
  EXPECT_EQ(l.life.next(), step::receive);
  l.life.received(0);
  EXPECT_EQ(l.life.next(), step::close) << "the peer has ended, and all is answered";
}

TEST(connection_life, carries_out_what_takes_time_when_earlier_replies_are_sent) {
  living l;
  l.receive(request("a", 1) + request("", 2, frame_op::work, 1) + request("", 3, frame_op::sleep, 1'000'000));
  EXPECT_EQ(l.life.next(), step::send);
  EXPECT_FALSE(l.life.only_receives_then());
  l.send();
  EXPECT_EQ(l.life.next(), step::work);
  EXPECT_FALSE(l.life.offloads());
  l.life.burn();
  l.life.carried_out();
  EXPECT_EQ(l.life.next(), step::send);
  l.send();
  EXPECT_EQ(l.life.next(), step::sleep);
  EXPECT_GT(l.life.deadline(), clock::now());
  EXPECT_LE(l.life.deadline(), clock::now() + 1s);
  l.life.time_passed();
  EXPECT_EQ(l.life.next(), step::sleep) << "it has not passed";
}

TEST(connection_life, what_arrives_meanwhile_changes_nothing) {
  living l(framing::frame, 1h);
  l.receive(request("", 1, frame_op::sleep, 1'000));
  ASSERT_EQ(l.life.next(), step::sleep);
  const auto wakes_at = l.life.deadline();
  const bytes more = request("more", 2);
  EXPECT_EQ(l.life.offer(std::as_bytes(std::span(more))), more.size());
  l.life.received(0);
  EXPECT_EQ(l.life.next(), step::sleep);
  EXPECT_EQ(l.life.deadline(), wakes_at);
  std::this_thread::sleep_until(wakes_at);
  l.life.time_passed();
  EXPECT_EQ(l.life.next(), step::send);
  EXPECT_EQ(l.send(), reply("", 1, frame_op::sleep, 1'000) + reply("more", 2));
  EXPECT_EQ(l.life.next(), step::close);
}

TEST(connection_life, idles_no_longer_than_it_may) {
  living l(framing::raw, 1ms);
  const auto first = l.life.deadline();
  EXPECT_NE(first, connection_life::never);
  l.receive("x");
  EXPECT_GE(l.life.deadline(), first) << "what comes or goes moves it on";
  l.send();
  std::this_thread::sleep_until(l.life.deadline());
  l.life.time_passed();
  EXPECT_EQ(l.life.next(), step::close);
  EXPECT_EQ(l.errors(server_error::idle_timeout), 1U);
}

TEST(connection_life, lingers_until_the_peer_ends) {
  living l;
  l.receive(encode({.version = 9}));
  EXPECT_EQ(l.life.next(), step::send);
  l.send();
  EXPECT_EQ(l.life.next(), step::end_sending);
  l.life.sending_ended();
  EXPECT_EQ(l.life.next(), step::receive) << "input is forgotten";
  EXPECT_NE(l.life.deadline(), connection_life::never);
  l.receive("forgotten");
  EXPECT_EQ(l.life.next(), step::receive);
  const bytes more = "forgotten, too";
  EXPECT_EQ(l.life.offer(std::as_bytes(std::span(more))), more.size());
  l.life.failed();
  EXPECT_EQ(l.life.next(), step::close);
  EXPECT_EQ(l.errors(server_error::reset), 0U) << "it was answered and flushed";
  EXPECT_EQ(l.errors(server_error::bad_version), 1U);
}

TEST(connection_life, answers_what_was_received_when_the_server_stops) {
  living l;
  const bytes first = request("first", 1);
  l.life.stop(first.size());
  EXPECT_EQ(l.life.next(), step::receive);
  EXPECT_EQ(l.life.space().size(), first.size()) << "and no more";
  l.receive(first);
  EXPECT_EQ(l.life.next(), step::send);
  l.send();
  EXPECT_EQ(l.life.next(), step::end_sending);

  living idle;
  idle.life.stop(0);
  EXPECT_EQ(idle.life.next(), step::end_sending);
}

TEST(connection_life, is_aborted_when_the_time_to_stop_is_over) {
  living busy;
  busy.receive(request("unsent", 1));
  busy.life.abort();
  EXPECT_EQ(busy.life.next(), step::close);
  EXPECT_EQ(busy.errors(server_error::drain_timeout), 1U);

  living flushed;
  flushed.life.stop(0);
  flushed.life.abort();
  EXPECT_EQ(flushed.life.next(), step::close);
  EXPECT_EQ(flushed.errors(server_error::drain_timeout), 0U);
}

TEST(connection_life, a_failed_transport_ends_it_whatever_it_does) {
  living l;
  l.receive(request("", 1, frame_op::work, 1));
  l.life.failed();
  EXPECT_EQ(l.life.next(), step::close);
  EXPECT_EQ(l.life.deadline(), connection_life::never);
  EXPECT_EQ(l.errors(server_error::reset), 1U);
  l.life.time_passed();
  EXPECT_EQ(l.life.next(), step::close);
}

}  // namespace
}  // namespace echobench::testing
