#include "servers/serving/timers.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using clock = connection_state::clock;

struct connection : timer {};

TEST(timers, come_in_the_order_of_their_time) {
  const auto now = clock::now();
  timers<connection> all;
  connection late;
  connection early;
  connection none;
  EXPECT_EQ(all.earliest(), connection_state::never);
  all.follow(late, now + 2s);
  all.follow(early, now + 1s);
  all.follow(none, connection_state::never);
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
  all.follow(conn, now + 2s);
  all.follow(conn, now + 3s);
  EXPECT_EQ(all.earliest(), now + 2s);
  all.follow(conn, now + 1s);
  EXPECT_EQ(all.earliest(), now + 1s);
}

TEST(timers, lose_a_connection_that_is_destroyed) {
  timers<connection> all;
  {
    connection conn;
    all.follow(conn, clock::now());
  }
  EXPECT_EQ(all.earliest(), connection_state::never);
}

}  // namespace
}  // namespace echobench
