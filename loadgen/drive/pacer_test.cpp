#include "loadgen/drive/pacer.hpp"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr clock::time_point begin{1000s};

drive_plan drive_of(nanoseconds length, std::uint64_t rate = 0, clock::time_point from = begin) {
  return {.rate = rate, .start = from, .measure_from = from, .stop = from + length};
}

TEST(closed_pacer, keeps_a_pipeline_full_until_the_stop) {
  const auto pacer = make_closed_pacer({}, {.whole = 4, .first = 1, .stride = 2}, 3);
  pacer->begin(drive_of(1s));
  EXPECT_EQ(pacer->next().due, clock::time_point::max()) << "nothing waits for the clock";
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(pacer->may_issue(1, begin));
    EXPECT_EQ(pacer->issue(1, begin + 1ms), begin + 1ms);
  }
  EXPECT_FALSE(pacer->may_issue(1, begin));
  EXPECT_TRUE(pacer->may_issue(0, begin));
  pacer->answered(1, begin + 2ms);
  EXPECT_TRUE(pacer->may_issue(1, begin + 2ms));
  EXPECT_FALSE(pacer->may_issue(1, begin + 1s)) << "after the stop nothing new is sent";
  EXPECT_EQ(pacer->backlog(), 0U);
}

TEST(closed_pacer, thinks_between_a_reply_and_the_next_request) {
  const auto pacer = make_closed_pacer({.think = {.mean = 10ms}}, {.whole = 2}, 1);
  pacer->begin(drive_of(1s));
  EXPECT_FALSE(pacer->may_issue(0, begin));
  EXPECT_EQ(pacer->next().due, begin);
  pacer->release();
  ASSERT_TRUE(pacer->may_issue(0, begin));
  pacer->issue(0, begin);
  EXPECT_EQ(pacer->next().due, begin + 5ms) << "the first requests are spread over the time of a thought";
  EXPECT_EQ(pacer->next().connection, 1U);
  pacer->release();
  pacer->answered(0, begin + 3ms);
  EXPECT_EQ(pacer->next().due, begin + 13ms);
  EXPECT_FALSE(pacer->may_issue(0, begin + 3ms));
}

TEST(closed_pacer, thoughts_of_random_length_have_the_mean_and_follow_the_seed) {
  const auto thoughts = [](std::uint64_t seed) {
    const auto pacer =
        make_closed_pacer({.think = {.mean = 1ms, .exponential = true}, .seed = seed}, {.whole = 1}, 1);
    pacer->begin(drive_of(1h));
    std::vector<nanoseconds> times;
    for (int i = 0; i < 2000; ++i) {
      pacer->release();
      pacer->issue(0, begin);
      pacer->answered(0, begin);
      times.push_back(pacer->next().due - begin);
    }
    return times;
  };
  nanoseconds sum{0};
  for (const auto thought : thoughts(1)) sum += thought;
  EXPECT_NEAR(static_cast<double>((sum / 2000).count()), 1e6, 1e5);
  EXPECT_EQ(thoughts(1), thoughts(1));
  EXPECT_NE(thoughts(1), thoughts(2));
}

TEST(closed_pacer, a_reply_in_the_time_that_is_off_waits_for_the_next_burst) {
  const auto pacer = make_closed_pacer({.on_off = {.on = 10ms, .off = 90ms}}, {.whole = 1}, 1);
  pacer->begin(drive_of(1s));
  pacer->issue(0, begin);
  pacer->answered(0, begin + 5ms);
  EXPECT_TRUE(pacer->may_issue(0, begin + 5ms));
  pacer->issue(0, begin + 5ms);
  pacer->answered(0, begin + 25ms);
  EXPECT_FALSE(pacer->may_issue(0, begin + 25ms));
  EXPECT_EQ(pacer->next().due, begin + 100ms);
}

TEST(open_pacer, time_stands_still_between_drives) {
  const auto pacer = make_open_pacer({.arrival = arrivals::uniform}, {.whole = 1});
  pacer->begin(drive_of(15ms, 100));
  for (int i = 0; i < 2; ++i) pacer->release();
  EXPECT_EQ(pacer->backlog(), 2U);
  EXPECT_EQ(pacer->issue(0, begin + 1s), begin) << "however late it is";
  EXPECT_EQ(pacer->issue(0, begin + 1s), begin + 10ms);
  pacer->end(begin + 15ms);
  const auto again = begin + 10s;
  pacer->begin(drive_of(15ms, 100, again));
  EXPECT_EQ(pacer->next().due, again + 5ms);
}

TEST(open_pacer, another_rate_begins_anew) {
  const auto pacer = make_open_pacer({.arrival = arrivals::uniform}, {.whole = 1});
  pacer->begin(drive_of(15ms, 100));
  pacer->release();
  pacer->end(begin + 15ms);
  const auto again = begin + 10s;
  pacer->begin(drive_of(15ms, 1000, again));
  EXPECT_EQ(pacer->next().due, again);
  pacer->release();
  EXPECT_EQ(pacer->next().due, again + 1ms);
}

}  // namespace
}  // namespace echobench
