#include "loadgen/probe/run_queue_clock.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace echobench {
namespace {

TEST(run_queue_clock, is_the_second_number_of_schedstat) {
  char name[] = "/tmp/run-queue-clock-test-XXXXXX";
  ::close(::mkstemp(name));
  std::ofstream(name) << "3998446 14830752 2\n";
  EXPECT_EQ(run_queue_clock(name).now(), std::chrono::nanoseconds(14'830'752));
  std::ofstream(name) << "";
  EXPECT_EQ(run_queue_clock(name).now(), std::nullopt);
  ::unlink(name);
}

TEST(run_queue_clock, what_the_kernel_does_not_report_is_not_0) {
  EXPECT_EQ(run_queue_clock("/nonexistent/schedstat").now(), std::nullopt);
}

TEST(run_queue_clock, of_this_thread_goes_on) {
  if (::access("/proc/thread-self/schedstat", R_OK) != 0) GTEST_SKIP() << "CONFIG_SCHED_INFO is not set";
  const run_queue_clock waited;
  const auto before = waited.now();
  ASSERT_TRUE(before);
  EXPECT_GE(waited.now(), before);
}

}  // namespace
}  // namespace echobench
