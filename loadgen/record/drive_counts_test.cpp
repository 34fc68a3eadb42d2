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

}  // namespace
}  // namespace echobench
