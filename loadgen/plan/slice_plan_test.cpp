#include "loadgen/plan/slice_plan.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(slice_plan, one_target_settles_for_a_cycle_if_the_run_has_ten) {
  EXPECT_EQ(settling_alone(1ms, 1s, false), 1ms);
  EXPECT_EQ(settling_alone(100ms, 1s, false), 100ms);
  EXPECT_EQ(settling_alone(101ms, 1s, false), 0ns);
  EXPECT_EQ(settling_alone(1ms, 1s, true), 0ns) << "in the open loop what was due before would be missing";
}

}  // namespace
}  // namespace echobench
