#include "loadgen/record/drive_counts.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(client_time, busy_is_what_was_neither_polled_nor_slept) {
  client_time time{.elapsed = 100ms};
  EXPECT_EQ(time.busy(), 100ms) << "stolen time is in no account, and no idleness";
  time += {.cpu = 30ms, .polling = 20ms, .blocked = 40ms};
  EXPECT_EQ(time.busy(), 40ms);
  time += {.waiting = 10ms, .polling = 5ms};
  EXPECT_EQ(time.busy(), 45ms) << "waiting for a CPU is no sleep";
  time += {.waiting = 1s};
  EXPECT_EQ(time.busy(), 75ms) << "and no more than there was";
}

TEST(client_time, is_never_less_than_nothing) {
  EXPECT_EQ((client_time{.elapsed = 10ms, .polling = 6ms, .blocked = 6ms}).busy(), 0ns);
}

TEST(client_time, what_kept_it_away_is_the_larger_of_what_two_clocks_show) {
  client_time time{.elapsed = 100ms};
  EXPECT_EQ(time.kept_away(), 0ns);
  time += {.waiting = 10ms, .late = 3ms};
  EXPECT_EQ(time.kept_away(), 10ms);
  time += {.late = 20ms, .blocked = 80ms};
  EXPECT_EQ(time.kept_away(), 23ms) << "it was stopped: the kernel does not count that as waiting";
  EXPECT_EQ(time.busy(), 43ms) << "and a thread that cannot run does not sleep";
  time += {.waiting = 95ms};
  EXPECT_EQ(time.kept_away(), 100ms) << "the last wait may end after the time that is measured";
}

TEST(client_time, without_the_kernels_account_waiting_is_not_known) {
  client_time time{.elapsed = 100ms};
  time += {.waiting = 10ms};
  time += {.waiting = std::nullopt, .late = 5ms};
  EXPECT_EQ(time.waiting, std::nullopt) << "not 0";
  EXPECT_EQ(time.kept_away(), 5ms);
  part_counts sum;
  sum += {.waiting = std::nullopt};
  sum += {.waiting = 3ms};
  EXPECT_EQ(sum.waiting, std::nullopt);
}

}  // namespace
}  // namespace echobench
