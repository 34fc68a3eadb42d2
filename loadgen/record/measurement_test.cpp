#include "loadgen/record/measurement.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(cell, a_stall_over_a_thousand_connections_is_one_event) {
  cell stalled;
  cell spread;
  for (cell* each : {&stalled, &spread}) {
    each->slowest_of_windows.assign(100, 1ms);
    for (int i = 0; i < 100'000; ++i) each->record.service.record(1ms);
    for (int i = 0; i < 1000; ++i) each->record.service.record(200ms);
  }
  stalled.slowest_of_windows[40] = 200ms;
  for (std::size_t i = 0; i < 100; i += 10) spread.slowest_of_windows[i] = 200ms;

  EXPECT_EQ(stalled.events_from(100ms), 1U);
  EXPECT_EQ(spread.events_from(100ms), 10U);
  EXPECT_TRUE(stalled.latency().supported_percentile(99.0));
  EXPECT_EQ(stalled.supported_percentile(50), spread.supported_percentile(50))
      << "100 windows have more than 1 us";
}

TEST(cell, a_percentile_that_rests_on_few_events_is_not_told) {
  cell of;
  of.rate = 1000;
  of.slowest_of_windows.assign(100, 1ms);
  for (int i = 0; i < 99'000; ++i) of.record.response.record(1ms);
  for (int i = 0; i < 900; ++i) of.record.response.record(100ms);
  for (int i = 0; i < 100; ++i) of.record.response.record(200ms);
  of.slowest_of_windows[3] = of.slowest_of_windows[4] = 200ms;
  EXPECT_TRUE(of.latency().supported_percentile(99.9));
  EXPECT_FALSE(of.supported_percentile(99.9)) << "two windows";
  for (const std::size_t window : {10U, 20U, 30U}) of.slowest_of_windows[window] = 200ms;
  EXPECT_TRUE(of.supported_percentile(99.9)) << "five";
  of.slowest_of_windows.resize(20);
  EXPECT_TRUE(of.supported_percentile(99.9)) << "with few windows samples alone count";
}

}  // namespace
}  // namespace echobench
