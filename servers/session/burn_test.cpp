// What a burn says that it has used, against the thread's CPU clock.
#include "servers/session/burn.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr double near = 0.1;  // 200 ns asked for are 235 used

// What many burns told, by the CPU time that they took, in the first of many attempts that is near to 1: a
// burn that is interrupted or preempted can tell neither exactly.
double told_by_used(nanoseconds each, int burns) {
  double ratio = 0;
  for (int attempt = 0; attempt < 200 && std::abs(ratio - 1) > near; ++attempt) {
    const request_burn burn(each);
    nanoseconds told{0};
    const auto begin = thread_cpu_time();
    for (int i = 0; i < burns; ++i) told += burn();
    const auto used = thread_cpu_time() - begin;
    EXPECT_GE(told, each * burns);
    ratio = static_cast<double>(told.count()) / static_cast<double>(used.count());
  }
  return ratio;
}

TEST(burn, tells_the_cpu_time_that_it_has_used) {
  for (const auto& [each, burns] :
       {std::pair<nanoseconds, int>(200ns, 20'000), {1us, 10'000}, {6us, 2'000}, {60us, 200}, {1ms, 20}}) {
    EXPECT_NEAR(told_by_used(each, burns), 1, near) << each.count() << " ns";
  }
}

TEST(burn, nothing_is_wanted_unless_asked_for) {
  EXPECT_FALSE(request_burn().wanted());
  EXPECT_FALSE(request_burn(0ns).wanted());
  EXPECT_TRUE(request_burn(1ns).wanted());
}

TEST(burn, gives_up_when_told_to) {
  int asked = 0;
  EXPECT_LT(burn_cpu(1h, [&] { return ++asked == 3; }), 1h);
  EXPECT_EQ(asked, 3);
}

}  // namespace
}  // namespace echobench
