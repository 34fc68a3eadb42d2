#include "loadgen/record/measurement.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(cell, a_stall_over_a_thousand_connections_is_one_event) {
  cell stalled;
  cell spread;
  for (cell* tested : {&stalled, &spread}) {
    tested->slowest_of_windows.assign(100, 1ms);
    for (int i = 0; i < 100'000; ++i) tested->record.service.record(1ms);
    for (int i = 0; i < 1000; ++i) tested->record.service.record(200ms);
  }
  stalled.slowest_of_windows[40] = 200ms;
  for (std::size_t i = 0; i < 100; i += 10) spread.slowest_of_windows[i] = 200ms;

  EXPECT_EQ(stalled.events_from(100ms), 1U);
  EXPECT_EQ(spread.events_from(100ms), 10U);
  EXPECT_TRUE(stalled.latency().supported_percentile(99.0));
  EXPECT_EQ(stalled.supported_percentile(50), spread.supported_percentile(50))
      << "100 windows have more than 1 us";
}

TEST(cell, a_percentile_that_rests_on_few_events_is_not_reported) {
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

slice slice_of(double served, std::uint64_t answered, std::chrono::nanoseconds time) {
  slice made;
  made.served = served;
  made.answered = answered;
  made.elapsed = time;
  return made;
}

double rate_of(std::uint64_t requests, std::chrono::nanoseconds time) {
  return static_cast<double>(requests) / std::chrono::duration<double>(time).count();
}

TEST(cell, of_a_closed_loop_counts_what_was_served_in_the_measured_time) {
  cell of;
  of.drives = 1;
  of.slices = {slice_of(20.0 / 3, 10, 1s)};  // ten replies of 1.5 s, which came after it
  count_requests(of);
  EXPECT_EQ(of.requests, 7U);
  EXPECT_NEAR(of.throughput(), 20.0 / 3, 1e-6);
  EXPECT_DOUBLE_EQ(of.throughput(), rate_of(of.requests, of.elapsed));
  EXPECT_NEAR(rate_of(of.slices[0].requests, of.slices[0].elapsed), 20.0 / 3, 1e-6);
}

TEST(cell, of_one_drive_is_the_sum_of_its_parts) {
  cell of;
  of.drives = 1;
  for (int i = 0; i < 100; ++i) of.slices.push_back(slice_of(0.107, 0, 20ms));
  count_requests(of);
  EXPECT_EQ(of.requests, 11U);
  EXPECT_NEAR(of.throughput(), 10.7 / 2, 1e-6);
  std::uint64_t sum = 0;
  for (const slice& part : of.slices) {
    sum += part.requests;
    EXPECT_EQ(part.elapsed, 20ms);
  }
  EXPECT_EQ(sum, of.requests);
}

TEST(cell, that_takes_turns_has_the_rate_in_each_of_its_slices) {
  cell of;
  of.drives = 3;
  for (const double served : {17.9, 18.4, 0.2}) of.slices.push_back(slice_of(served, 18, 954ms));
  count_requests(of);
  EXPECT_EQ(of.requests, 18U + 18U + 1U);
  EXPECT_NEAR(of.throughput(), (17.9 + 18.4 + 0.2) / (3 * 0.954), 1e-6);
  EXPECT_NEAR(rate_of(of.slices[0].requests, of.slices[0].elapsed), 17.9 / 0.954, 1e-6);
  EXPECT_NEAR(rate_of(of.slices[2].requests, of.slices[2].elapsed), 0.2 / 0.954, 1e-6);
}

TEST(cell, of_an_open_loop_counts_what_was_due_if_the_server_kept_up) {
  cell of;
  of.rate = 5;
  of.drives = 1;
  of.slices = {slice_of(9, 10, 2s), slice_of(9, 10, 2s)};
  count_requests(of);
  EXPECT_EQ(of.requests, 20U);
  EXPECT_EQ(of.elapsed, 4s);
  of.backlog = {.due = 20, .growth = 15};
  count_requests(of);
  EXPECT_EQ(of.requests, 18U);
}

TEST(cell, in_which_nothing_was_served_has_no_rate) {
  cell of;
  of.drives = 1;
  of.slices = {slice_of(0, 0, 1s)};
  count_requests(of);
  EXPECT_EQ(of.requests, 0U);
  EXPECT_EQ(of.elapsed, 1s);
  EXPECT_EQ(of.throughput(), 0);
}

TEST(cell, effective_concurrency_is_never_more_than_was_in_flight) {
  cell of;
  of.measured = 1s;
  of.in_flight = 10s;
  EXPECT_DOUBLE_EQ(of.effective_concurrency(), 10);
}

}  // namespace
}  // namespace echobench
