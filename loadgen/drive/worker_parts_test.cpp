// The pieces that a worker brings together, each by itself.
#include "loadgen/drive/connect_order.hpp"
#include "loadgen/drive/request_log.hpp"
#include "loadgen/drive/sleep_margin.hpp"
#include "loadgen/drive/throttled_reads.hpp"
#include "loadgen/drive/timeout_checks.hpp"

#include <gmock/gmock.h>

#include <set>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;
using testing::ElementsAre;

constexpr clock::time_point origin{1000s};

load_spec load_of(std::size_t targets, std::size_t connections, std::size_t idle, std::size_t slow) {
  load_spec load;
  load.targets.resize(targets);
  load.connections = connections;
  load.idle_connections = idle;
  load.slow_readers = slow;
  return load;
}

std::vector<std::size_t> slots_in_order(const connect_order& order) {
  std::vector<std::size_t> slots;
  for (std::size_t i = 0; i < order.count(); ++i) slots.push_back(order.slot(i));
  return slots;
}

TEST(connect_order, visits_targets_in_turn_and_roles_one_after_the_other) {
  const connection_table table(load_of(2, 3, 1, 1), 0, 1);
  EXPECT_THAT(slots_in_order({table, false, 0}), ElementsAre(0, 3, 1, 4, 2, 5, 6, 7, 8, 9));
}

TEST(connect_order, leaves_out_connections_that_are_opened_for_each_request) {
  const connection_table table(load_of(2, 3, 1, 1), 0, 1);
  EXPECT_THAT(slots_in_order({table, true, 0}), ElementsAre(6, 7, 8, 9));
}

TEST(connect_order, of_all_workers_together_holds_the_rate) {
  std::set<nanoseconds> due;
  for (std::size_t worker = 0; worker < 4; ++worker) {
    const connection_table table(load_of(1, 10, 0, 0), worker, 4);
    const connect_order order(table, false, 1000);
    for (std::size_t i = 0; i < order.count(); ++i) due.insert(order.due(i));
  }
  EXPECT_EQ(due.size(), 10U);
  EXPECT_EQ(*due.begin(), 0ms);
  EXPECT_EQ(*due.rbegin(), 9ms);
  const connection_table table(load_of(1, 10, 0, 0), 0, 1);
  EXPECT_EQ(connect_order(table, false, 0).due(9), 0ns) << "without a rate all are due at once";
}

TEST(request_log, keeps_the_requests_of_a_full_pipeline_apart) {
  request_log log(2, 3);
  for (std::size_t conn = 0; conn < 2; ++conn) {
    for (std::uint64_t k = 5; k < 8; ++k) log.of(conn, k).sent = origin + nanoseconds(100 * conn + k);
  }
  for (std::size_t conn = 0; conn < 2; ++conn) {
    for (std::uint64_t k = 5; k < 8; ++k) {
      EXPECT_EQ(log.of(conn, k).sent, origin + nanoseconds(100 * conn + k));
    }
  }
}

TEST(sleep_margin, ends_sleeps_earlier_by_twice_what_the_last_was_late_and_forgets_it) {
  sleep_margin margin;
  EXPECT_EQ(margin.sleep_for(1ms), 1ms - sleep_margin::shortest);
  EXPECT_LE(margin.sleep_for(50us), 0ns) << "it polls";
  margin.slept(1ms, 1ms + 80us);
  EXPECT_LE(margin.sleep_for(1ms), 1ms - 159us);
  margin.slept(1ms, 2ms);
  EXPECT_GE(margin.sleep_for(1ms), 1ms - sleep_margin::longest) << "a stall is no habit";
  for (int i = 0; i < 1000; ++i) margin.slept(1ms, 1ms);
  EXPECT_EQ(margin.sleep_for(1ms), 1ms - sleep_margin::shortest);
}

TEST(throttled_reads, hold_the_rate_and_are_never_due_without_readers) {
  throttled_reads reads(1, 4096);
  reads.begin(origin);
  EXPECT_EQ(reads.next(), origin);
  reads.done(origin);
  EXPECT_EQ(reads.next(), origin + throttled_reads::interval);
  EXPECT_EQ(reads.bytes(), 81U) << "4096 / 50";
  EXPECT_EQ(throttled_reads(1, 1).bytes(), 1U) << "never nothing";
  throttled_reads none(0, 4096);
  none.begin(origin);
  EXPECT_EQ(none.next(), clock::time_point::max());
}

TEST(timeout_checks, are_frequent_enough_for_the_time_out_and_never_too_frequent) {
  struct {
    nanoseconds timeout;
    nanoseconds interval;
  } table[] = {{1ms, 1ms}, {160ms, 10ms}, {1h, 250ms}};
  for (const auto& row : table) {
    timeout_checks checks(row.timeout);
    checks.begin(origin);
    EXPECT_EQ(checks.next(), origin);
    checks.done(origin);
    EXPECT_EQ(checks.next(), origin + row.interval);
    EXPECT_FALSE(checks.is_over(origin, origin + row.timeout));
    EXPECT_TRUE(checks.is_over(origin, origin + row.timeout + 1ns));
  }
}

TEST(timeout_checks, do_not_count_the_time_in_which_the_client_was_away) {
  timeout_checks checks(160ms);
  checks.begin(origin);
  const auto look = [&](nanoseconds at) {
    checks.look(origin + at);
    checks.done(origin + at);
  };
  look(0ms);
  look(20ms);  // the next was due at 10 ms: late by no more than an interval
  EXPECT_TRUE(checks.is_over(origin, origin + 161ms));
  look(2030ms);  // due at 30 ms
  EXPECT_FALSE(checks.is_over(origin + 29ms, origin + 2030ms))
      << "stamped, and sent when the client was back";
  EXPECT_TRUE(checks.is_over(origin + 29ms, origin + 2190ms)) << "1 ms before and 160 ms after it was away";
  EXPECT_FALSE(checks.is_over(origin + 1000ms, origin + 2180ms)) << "nor more than all of its wait";
  EXPECT_TRUE(checks.is_over(origin + 2031ms, origin + 2192ms)) << "it began to wait after that";
}

TEST(timeout_checks, find_a_time_out_though_each_look_is_late) {
  timeout_checks checks(160ms);
  checks.begin(origin);
  auto now = origin;
  for (int looks = 0; looks < 100; ++looks) {
    checks.look(now);
    if (checks.is_over(origin, now)) return;
    checks.done(now);
    now += 1s;
  }
  FAIL() << "after a hundred looks it is not over";
}

}  // namespace
}  // namespace echobench
