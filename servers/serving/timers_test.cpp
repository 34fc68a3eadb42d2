#include "servers/serving/event_loop.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using clock = connection_state::clock;

struct fake_state {
  clock::time_point when = connection_state::never;
  clock::time_point deadline() const { return when; }
};
struct connection : timer {
  fake_state state;
};

TEST(timers, come_in_the_order_of_their_time) {
  const auto now = clock::now();
  timers<connection> all;
  connection late;
  connection early;
  connection none;
  EXPECT_EQ(all.earliest(), connection_state::never);
  late.state.when = now + 2s;
  early.state.when = now + 1s;
  for (connection* conn : {&late, &early, &none}) all.follow(*conn);
  EXPECT_EQ(all.earliest(), now + 1s);
  EXPECT_EQ(all.take_due(now), nullptr);
  EXPECT_EQ(all.take_due(now + 3s), &early);
  EXPECT_EQ(all.take_due(now + 3s), &late);
  EXPECT_EQ(all.take_due(now + 3s), nullptr);
}

TEST(timers, are_brought_forward_at_once_and_put_off_when_they_come) {
  const auto now = clock::now();
  timers<connection> all;
  connection conn;
  conn.state.when = now + 2s;
  all.follow(conn);
  conn.state.when = now + 3s;
  all.follow(conn);
  EXPECT_EQ(all.earliest(), now + 2s);
  conn.state.when = now + 1s;
  all.follow(conn);
  EXPECT_EQ(all.earliest(), now + 1s);
}

TEST(timers, lose_a_connection_that_is_destroyed) {
  timers<connection> all;
  {
    connection conn;
    conn.state.when = clock::now();
    all.follow(conn);
  }
  EXPECT_EQ(all.earliest(), connection_state::never);
}

}  // namespace
}  // namespace echobench
