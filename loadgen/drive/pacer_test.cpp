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
  const auto own = make_closed_pacer({}, {.whole = 4, .first = 1, .stride = 2}, 3);
  own->begin(drive_of(1s));
  EXPECT_EQ(own->next().due, clock::time_point::max()) << "nothing waits for the clock";
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(own->may_issue(1, begin));
    EXPECT_EQ(own->issue(1, begin + 1ms), begin + 1ms);
  }
  EXPECT_FALSE(own->may_issue(1, begin));
  EXPECT_TRUE(own->may_issue(0, begin));
  own->answered(1, begin + 2ms);
  EXPECT_TRUE(own->may_issue(1, begin + 2ms));
  EXPECT_FALSE(own->may_issue(1, begin + 1s)) << "after the stop nothing new is sent";
  EXPECT_EQ(own->backlog(), 0U);
}

TEST(closed_pacer, thinks_between_a_reply_and_the_next_request) {
  const auto own = make_closed_pacer({.think = {.mean = 10ms}}, {.whole = 2}, 1);
  own->begin(drive_of(1s));
  EXPECT_FALSE(own->may_issue(0, begin));
  EXPECT_EQ(own->next().due, begin);
  own->release();
  ASSERT_TRUE(own->may_issue(0, begin));
  own->issue(0, begin);
  EXPECT_EQ(own->next().due, begin + 5ms) << "the first requests are spread over the time of a thought";
  EXPECT_EQ(own->next().connection, 1U);
  own->release();
  own->answered(0, begin + 3ms);
  EXPECT_EQ(own->next().due, begin + 13ms);
  EXPECT_FALSE(own->may_issue(0, begin + 3ms));
}

TEST(closed_pacer, thoughts_of_random_length_have_the_mean_and_follow_the_seed) {
  const auto thoughts = [](std::uint64_t seed) {
    const auto own =
        make_closed_pacer({.think = {.mean = 1ms, .exponential = true}, .seed = seed}, {.whole = 1}, 1);
    own->begin(drive_of(1h));
    std::vector<nanoseconds> found;
    for (int i = 0; i < 2000; ++i) {
      own->release();
      own->issue(0, begin);
      own->answered(0, begin);
      found.push_back(own->next().due - begin);
    }
    return found;
  };
  nanoseconds sum{0};
  for (const auto each : thoughts(1)) sum += each;
  EXPECT_NEAR(static_cast<double>((sum / 2000).count()), 1e6, 1e5);
  EXPECT_EQ(thoughts(1), thoughts(1));
  EXPECT_NE(thoughts(1), thoughts(2));
}

TEST(closed_pacer, a_reply_in_the_time_that_is_off_waits_for_the_next_burst) {
  const auto own = make_closed_pacer({.on_off = {.on = 10ms, .off = 90ms}}, {.whole = 1}, 1);
  own->begin(drive_of(1s));
  own->issue(0, begin);
  own->answered(0, begin + 5ms);
  EXPECT_TRUE(own->may_issue(0, begin + 5ms));
  own->issue(0, begin + 5ms);
  own->answered(0, begin + 25ms);
  EXPECT_FALSE(own->may_issue(0, begin + 25ms));
  EXPECT_EQ(own->next().due, begin + 100ms);
}

TEST(open_pacer, its_time_stands_still_between_drives) {
  const auto own = make_open_pacer({}, {.whole = 1});
  own->begin(drive_of(15ms, 100));
  for (int i = 0; i < 2; ++i) own->release();
  EXPECT_EQ(own->backlog(), 2U);
  EXPECT_EQ(own->issue(0, begin + 1s), begin) << "however late it is";
  EXPECT_EQ(own->issue(0, begin + 1s), begin + 10ms);
  own->end(begin + 15ms);
  const auto again = begin + 10s;
  own->begin(drive_of(15ms, 100, again));
  EXPECT_EQ(own->next().due, again + 5ms);
}

TEST(open_pacer, another_rate_begins_anew) {
  const auto own = make_open_pacer({}, {.whole = 1});
  own->begin(drive_of(15ms, 100));
  own->release();
  own->end(begin + 15ms);
  const auto again = begin + 10s;
  own->begin(drive_of(15ms, 1000, again));
  EXPECT_EQ(own->next().due, again);
  own->release();
  EXPECT_EQ(own->next().due, again + 1ms);
}

}  // namespace
}  // namespace echobench
