#include "loadgen/drive/part_clock.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

constexpr clock::time_point drive_start{1000s};

// 100 ms of settling time, then five windows of 20 ms.
constexpr drive_plan divided_plan{
    .start = drive_start, .measure_from = drive_start + 100ms, .stop = drive_start + 200ms, .windows = 5};

TEST(drive_plan, knows_which_part_holds_a_time) {
  EXPECT_EQ(divided_plan.part_at(drive_start), 0U);
  EXPECT_EQ(divided_plan.part_at(drive_start + 100ms - 1ns), 0U);
  EXPECT_EQ(divided_plan.part_at(drive_start + 100ms), 1U);
  EXPECT_EQ(divided_plan.part_at(drive_start + 159ms), 3U);
  EXPECT_EQ(divided_plan.part_at(drive_start + 200ms - 1ns), 5U);
  EXPECT_EQ(divided_plan.part_at(drive_start + 200ms), 6U);
  for (std::size_t part = 0; part <= divided_plan.windows; ++part) {
    EXPECT_EQ(divided_plan.part_at(divided_plan.end_of(part) - 1ns), part);
    EXPECT_EQ(divided_plan.part_at(divided_plan.end_of(part)), part + 1);
  }
  const drive_plan uneven{
      .start = drive_start, .measure_from = drive_start, .stop = drive_start + 100ns, .windows = 7};
  EXPECT_EQ(uneven.part_at(drive_start + 99ns), 7U) << "what is left over by division is the last window's";
}

TEST(part_clock, a_request_counts_in_each_part_by_the_share_of_its_service_time) {
  part_clock time;
  time.begin(divided_plan);
  time.answered(drive_start, drive_start, drive_start + 10ms);
  time.advance_to(drive_start + 210ms);
  time.answered(drive_start + 60ms, drive_start + 60ms,
                drive_start + 260ms);  // 200 ms: of which 40, 20 in each window, 60
  time.answered(drive_start + 130ms, drive_start + 150ms, drive_start + 250ms);
  time.end(divided_plan.stop, drive_start + 260ms);
  const auto& parts = time.counts().parts;
  ASSERT_EQ(parts.size(), 7U);
  EXPECT_DOUBLE_EQ(parts[0].served, 1 + 0.2);
  EXPECT_DOUBLE_EQ(parts[1].served, 0.1);
  EXPECT_DOUBLE_EQ(parts[2].served, 0.1);
  EXPECT_DOUBLE_EQ(parts[3].served, 0.1 + 0.1);
  EXPECT_DOUBLE_EQ(parts[5].served, 0.1 + 0.2);
  EXPECT_DOUBLE_EQ(parts[6].served, 0.3 + 0.5);
  EXPECT_EQ(parts[0].in_flight, 10ms + 40ms);
  EXPECT_EQ(parts[3].in_flight, 20ms + 10ms);
  double served = 0;
  std::uint64_t answered = 0;
  for (const part_counts& part : parts) {
    served += part.served;
    answered += part.answered;
  }
  EXPECT_DOUBLE_EQ(served, 3);
  EXPECT_EQ(answered, 3U);
  EXPECT_EQ(parts[0].answered, 2U) << "where they were due";
  EXPECT_EQ(parts[2].answered, 1U);
  EXPECT_EQ(parts[0].requests, 1U) << "where the replies came";
  EXPECT_EQ(parts[6].requests, 2U);
}

TEST(part_clock, a_request_that_takes_no_time_counts_once) {
  part_clock time;
  time.begin(divided_plan);
  time.advance_to(drive_start + 110ms);
  time.answered(drive_start + 90ms, drive_start + 95ms, drive_start + 95ms);
  EXPECT_DOUBLE_EQ(time.now().served, 1);
}

// What the thread really works in these tests is microseconds.
TEST(part_clock, a_thread_that_ends_a_part_late_was_kept_away) {
  part_clock time;
  time.begin(divided_plan);
  time.advance_to(drive_start + 100ms);
  time.advance_to(drive_start + 175ms);  // 55 ms after window 0 ended
  time.advance_to(drive_start + 180ms);
  time.end(divided_plan.stop, drive_start + 300ms);
  const auto& parts = time.counts().parts;
  EXPECT_EQ(parts[1].late, 0ns);
  EXPECT_GT(parts[2].late, 45ms);
  EXPECT_LE(parts[2].late, 55ms);
  EXPECT_EQ(parts[3].late, 0ns);
  EXPECT_EQ(parts[4].late, 0ns);
  EXPECT_EQ(parts[5].late, 0ns);
  EXPECT_EQ(parts[6].late, 0ns) << "after the stop it need not be there";
}

TEST(part_clock, late_is_not_more_than_there_was_to_measure) {
  part_clock time;
  time.begin(divided_plan);
  time.advance_to(drive_start + 50ms);
  time.end(divided_plan.stop, drive_start + 10s);
  EXPECT_GT(time.counts().parts[1].late, 90ms);
  EXPECT_LE(time.counts().parts[1].late, 100ms);
}

TEST(part_clock, a_drive_that_was_broken_off_is_not_late) {
  part_clock time;
  time.begin(divided_plan);
  time.advance_to(drive_start + 100ms);
  time.end(drive_start + 110ms, drive_start + 111ms);
  for (const part_counts& part : time.counts().parts) EXPECT_EQ(part.late, 0ns);
  EXPECT_EQ(time.counts().stopped, drive_start + 110ms);
}

TEST(part_clock, work_is_not_late) {
  part_clock time;
  time.begin(divided_plan);
  time.advance_to(drive_start + 100ms);
  const auto begun = clock::now();
  while (clock::now() - begun < 30ms) {
  }
  time.advance_to(drive_start + 140ms);
  const auto cpu = time.counts().parts[1].cpu;
  EXPECT_LE(time.now().late, std::max<clock::duration>(20ms - cpu, 0ns))
      << "what it worked explains that much";
}

}  // namespace
}  // namespace echobench
