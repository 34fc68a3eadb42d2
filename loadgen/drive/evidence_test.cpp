#include "loadgen/drive/evidence.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

// A cell of a closed loop that was driven for 2 s.
class a_closed_loop : public testing::Test {
protected:
  a_closed_loop() {
    tested.driven_for = tested.measured = 2s;
    tested.drives = 1;
  }

  // A connection that made so many requests, each of which took so long.
  void add(std::uint64_t replies, nanoseconds time) {
    for (std::uint64_t i = 0; i < replies; ++i) outcome.record.service.record(time);
    connection_counts conn{.opened = true, .due = replies, .replies = replies};
    conn.waited = time * static_cast<std::int64_t>(replies);
    outcome.connections.push_back(conn);
  }
  // One of a mix.
  void add_of_mix(const std::vector<std::pair<std::uint64_t, nanoseconds>>& operations) {
    auto& recorded = outcome.record.by_operation;
    recorded.resize(operations.size());
    connection_counts conn{.opened = true};
    for (std::size_t i = 0; i < operations.size(); ++i) {
      const auto [replies, time] = operations[i];
      for (std::uint64_t k = 0; k < replies; ++k) recorded[i].record(time);
      conn.due = conn.replies += replies;
      conn.waited += time * static_cast<std::int64_t>(replies);
      conn.by_operation.push_back(replies);
    }
    outcome.connections.push_back(conn);
  }
  const cell& taken_in() {
    take_in(tested, std::move(outcome), load);
    return tested;
  }
  verdict judged() const {
    evidence of = evidence_of(tested, load, {});
    of.replies = of.answered = 1;
    of.concurrency_asked.reset();
    return judge(of).found;
  }

  cell tested;
  load_spec load;
  target_outcome outcome;
};

TEST_F(a_closed_loop, without_pauses_is_judged_by_the_numbers_of_replies) {
  for (const std::uint64_t replies : {1000U, 2000U, 4000U}) add(replies, nanoseconds(2s) / replies);
  const std::vector<double> numbers{1000, 2000, 4000};
  EXPECT_NEAR(taken_in().jain_index, jain_index(numbers), 0.01);
  EXPECT_EQ(tested.slowest.connection, 0U);
  EXPECT_NEAR(tested.slowest.share, 3 / 7.0, 0.01);
  EXPECT_EQ(judged(), verdict::starved);
}

TEST_F(a_closed_loop, a_connection_that_was_never_asked_is_not_starved) {
  for (int i = 0; i < 40; ++i) add(1, 100us);  // --think 5s
  for (int i = 0; i < 60; ++i) outcome.connections.push_back({.opened = true});
  EXPECT_NEAR(taken_in().jain_index, 1, 0.001);
  EXPECT_EQ(tested.given_work, 40U);
  EXPECT_EQ(tested.served, 40U);
  EXPECT_EQ(judged(), verdict::valid);
}

TEST_F(a_closed_loop, one_that_was_asked_and_never_answered_is) {
  for (int i = 0; i < 40; ++i) add(1, 100us);
  outcome.connections.push_back({.opened = true, .due = 1});
  taken_in();
  EXPECT_EQ(tested.given_work, 41U);
  EXPECT_EQ(judged(), verdict::starved);
}

TEST_F(a_closed_loop, thoughts_of_random_length_are_not_the_servers) {
  for (std::uint64_t replies = 1; replies <= 9; ++replies) add(replies, 60us + replies * 10us);
  EXPECT_NEAR(taken_in().jain_index, 1, 0.001);
  EXPECT_EQ(judged(), verdict::valid);
}

TEST_F(a_closed_loop, long_operations_are_not_the_servers_choice) {
  for (int sleeps = 0; sleeps < 2; ++sleeps) {
    for (int i = 0; i < 5; ++i) {
      add_of_mix(
          {{static_cast<std::uint64_t>(2000 - 999 * sleeps), 1ms}, {static_cast<std::uint64_t>(sleeps), 1s}});
    }
  }
  EXPECT_NEAR(taken_in().jain_index, 1, 0.001);
  EXPECT_EQ(judged(), verdict::valid);
}

TEST_F(a_closed_loop, of_a_mix_a_connection_that_waits_longer_for_the_same_is_starved) {
  for (int i = 0; i < 5; ++i) add_of_mix({{1900, 1ms}, {10, 10ms}});
  for (int i = 0; i < 5; ++i) add_of_mix({{190, 10ms}, {1, 100ms}});
  EXPECT_LT(taken_in().jain_index, 0.8);
  EXPECT_EQ(judged(), verdict::starved);
}

TEST_F(a_closed_loop, few_replies_of_random_length_are_not_spread_unevenly) {
  // Two replies each, of 50 ms to 1 s: the same for all in the long run.
  tested.driven_for = tested.measured = 700ms;
  const nanoseconds lengths[] = {50ms, 100ms, 1s};
  for (const nanoseconds first : lengths) {
    for (const nanoseconds second : lengths) {
      outcome.record.service.record(first);
      outcome.record.service.record(second);
      connection_counts conn{.opened = true, .due = 2, .replies = 2};
      conn.waited = first + second;
      outcome.connections.push_back(conn);
    }
  }
  EXPECT_LT(taken_in().jain_index, 0.9);
  EXPECT_LT(tested.jain_index_by_chance, 0.9);
  EXPECT_EQ(judged(), verdict::valid);
}

TEST(an_open_loop, is_judged_by_what_was_due_to_each_connection) {
  cell tested;
  tested.rate = 10;
  target_outcome outcome;
  for (const std::uint64_t due : {9U, 1U, 0U}) {
    outcome.connections.push_back({.opened = true, .due = due, .replies = due});
  }
  take_in(tested, std::move(outcome), {});
  EXPECT_EQ(tested.due, 10U);
  EXPECT_EQ(tested.given_work, 2U);
  EXPECT_DOUBLE_EQ(tested.jain_index, 1);
  EXPECT_DOUBLE_EQ(tested.jain_index_by_chance, 1);
}

TEST(evidence, the_longest_operation_of_a_mix_says_how_long_to_measure) {
  cell tested;
  for (int i = 0; i < 99; ++i) tested.record.service.record(100us);
  tested.record.service.record(1s);
  EXPECT_LT(evidence_of(tested, {}, {}).service, 20ms);
  tested.record.by_operation.resize(2);
  tested.record.by_operation[1].record(1s);
  EXPECT_GE(evidence_of(tested, {}, {}).service, 1s);
}

}  // namespace
}  // namespace echobench
