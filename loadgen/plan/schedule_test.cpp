#include "loadgen/plan/schedule.hpp"

#include "loadgen/plan/slice_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// The due times below `end`, of all workers, in order; `connections` gets how many each connection has.
std::vector<nanoseconds> due_times(arrivals kind, std::uint64_t rate, std::size_t connections,
                                   std::size_t workers, nanoseconds end, std::vector<int>& per_connection,
                                   const bursts& on_off = {}) {
  per_connection.assign(connections, 0);
  std::vector<nanoseconds> all;
  for (std::size_t worker = 0; worker < workers; ++worker) {
    schedule tested(kind, {.rate = rate, .connections = {connections, worker, workers}, .on_off = on_off});
    for (nanoseconds last{0}; tested.next().due < end; tested.release()) {
      EXPECT_GE(tested.next().due, last);
      last = tested.next().due;
      all.push_back(last);
      ++per_connection[worker + tested.next().connection * workers];
    }
  }
  std::ranges::sort(all);
  return all;
}

TEST(schedule, uniform_has_the_whole_rate_whatever_the_division) {
  for (const std::size_t workers : {1U, 2U, 3U, 7U}) {
    std::vector<int> per_connection;
    const auto due = due_times(arrivals::uniform, 1000, 7, workers, 10s, per_connection);
    ASSERT_EQ(due.size(), 10'000U) << workers;
    for (std::size_t i = 0; i < due.size(); ++i) EXPECT_EQ(due[i], nanoseconds(i * 1'000'000));
    EXPECT_LE(*std::ranges::max_element(per_connection) - *std::ranges::min_element(per_connection), 1);
  }
}

TEST(schedule, uniform_staggers_the_connections_by_one_nth_of_their_interval) {
  schedule tested(arrivals::uniform, {.rate = 100, .connections = {10}});
  for (std::size_t i = 0; i < 30; ++i, tested.release()) {
    EXPECT_EQ(tested.next().connection, i % 10);
    EXPECT_EQ(tested.next().due, i * 10ms);
  }
}

TEST(schedule, uniform_does_not_drift) {
  schedule tested(arrivals::uniform, {.rate = 3, .connections = {1}});
  for (int i = 0; i < 3 * 86'400; ++i) tested.release();
  EXPECT_EQ(tested.next().due, 24h);
}

TEST(schedule, poisson_has_the_rate_and_the_spread_of_poisson_arrivals) {
  std::vector<int> per_connection;
  const auto due = due_times(arrivals::poisson, 10'000, 10, 3, 20s, per_connection);
  const auto count = static_cast<double>(due.size());
  EXPECT_NEAR(count, 200'000, 5 * std::sqrt(200'000.0));
  double squares = 0;
  for (std::size_t i = 1; i < due.size(); ++i) {
    const auto gap = static_cast<double>((due[i] - due[i - 1]).count());
    squares += gap * gap;
  }
  // An exponential's second moment is twice the square of its mean.
  EXPECT_NEAR(squares / count, 2 * 1e5 * 1e5, 0.05 * 2 * 1e5 * 1e5);
  for (const int of_one : per_connection) EXPECT_NEAR(of_one, 20'000, 5 * std::sqrt(20'000.0));
}

TEST(schedule, poisson_follows_the_seed) {
  const auto first_due = [](std::uint64_t seed) {
    return schedule(arrivals::poisson, {.rate = 1000, .connections = {10}, .seed = seed}).next().due;
  };
  EXPECT_EQ(first_due(1), first_due(1));
  EXPECT_NE(first_due(1), first_due(2));
}

TEST(schedule, poisson_streams_belong_to_connections_and_not_to_workers) {
  std::vector<int> per_connection;
  const auto alone = due_times(arrivals::poisson, 10'000, 10, 1, 2s, per_connection);
  for (const std::size_t workers : {2U, 3U, 10U}) {
    EXPECT_EQ(due_times(arrivals::poisson, 10'000, 10, workers, 2s, per_connection), alone) << workers;
  }
}

TEST(schedule, bursts_keep_the_mean_rate_and_the_time_that_is_off) {
  for (const auto kind : {arrivals::uniform, arrivals::poisson}) {
    std::vector<int> per_connection;
    const auto due = due_times(kind, 1000, 10, 3, 10s, per_connection, {.on = 10ms, .off = 90ms});
    EXPECT_NEAR(static_cast<double>(due.size()), 10'000, kind == arrivals::uniform ? 0 : 500);
    for (const auto at : due) EXPECT_LT(at % 100ms, 10ms);
  }
}

TEST(schedule, a_backlog_is_issued_in_order_at_the_times_it_was_due) {
  for (const auto kind : {arrivals::uniform, arrivals::poisson}) {
    schedule tested(kind, {.rate = 1000, .connections = {6, 1, 2}, .seed = 4});
    std::vector<std::vector<nanoseconds>> due(3);
    for (std::uint64_t i = 0; i < 300; ++i, tested.release()) {
      EXPECT_EQ(tested.backlog(), i);
      due[tested.next().connection].push_back(tested.next().due);
    }
    for (std::size_t c = 0; c < 3; ++c) {
      EXPECT_EQ(tested.backlog(c), due[c].size());
      for (std::size_t i = 0; i < due[c].size() / 2; ++i) EXPECT_EQ(tested.issue(c), due[c][i]);
      const auto left = due[c].size() - due[c].size() / 2;
      EXPECT_EQ(tested.backlog(c), left);
      EXPECT_EQ(tested.drop(c), left);
      EXPECT_EQ(tested.backlog(c), 0U);
    }
    EXPECT_EQ(tested.backlog(), 0U);
    const auto next = tested.next();
    tested.release();
    EXPECT_EQ(tested.issue(next.connection), next.due) << "what was dropped is not due again";
  }
}

TEST(slice_plan, a_turn_is_what_all_in_flight_take_together) {
  const warmup_seen seen{.requests = 10'000, .elapsed = 1s, .service = 3ms};
  EXPECT_EQ(in_flight_cycle(seen, 100, false), 10ms);
  EXPECT_EQ(in_flight_cycle(seen, 100 * 16, false), 160ms)
      << "a pipeline holds more, and a cycle through it takes longer";
  EXPECT_EQ(in_flight_cycle(seen, 100, true), 3ms);
  EXPECT_EQ(in_flight_cycle({}, 100, false), 0ns);
}

TEST(slice_plan, auto_is_twenty_cycles_or_the_floor) {
  EXPECT_EQ(plan_slices({}, 100us, false, false).length, 20ms);
  EXPECT_EQ(plan_slices({}, 100us, false, false).settling, 200us);
  EXPECT_EQ(plan_slices({}, 50ms, false, false).length, 1s);
  EXPECT_EQ(plan_slices({}, 100us, true, false).length, 1s);
  EXPECT_EQ(plan_slices({}, 100us, true, true).length, 20ms);
  EXPECT_EQ(plan_slices({}, 100us, false, true).settling, 0ns) << "one target has windows only";
}

TEST(slice_plan, too_short_a_slice_is_refused_with_the_minimum_named) {
  EXPECT_EQ(plan_slices(10ms, 2ms, false, false).length, 10ms);
  EXPECT_EQ(plan_slices(10ms, 2ms, false, false, true).length, 10ms);
  EXPECT_EQ(plan_slices(20ms, 60ms, false, false, true).length, 300ms);
  try {
    plan_slices(20ms, 60ms, false, false);
    FAIL() << "accepted";
  } catch (const std::invalid_argument& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("--slice 20ms"), std::string::npos) << text;
    EXPECT_NE(text.find("300ms"), std::string::npos) << text;
  }
}

TEST(slice_plan, every_round_visits_every_target_once_in_seeded_random_order) {
  std::mt19937_64 random(1);
  std::mt19937_64 same(1);
  std::set<std::vector<std::size_t>> orders;
  for (int i = 0; i < 50; ++i) {
    auto order = next_round(4, random);
    EXPECT_EQ(order, next_round(4, same));
    orders.insert(order);
    std::ranges::sort(order);
    EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3}));
  }
  EXPECT_GT(orders.size(), 10) << "the order hardly changes";
}

}  // namespace
}  // namespace echobench
