#include "loadgen/verdict/verdict.hpp"

#include <gmock/gmock.h>

#include <numeric>
#include <random>
#include <vector>

namespace echobench {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

evidence healthy() {
  evidence found;
  found.replies = 1000;
  found.client_busy = 0.5;
  found.server_busy = 0.99;
  found.connections = found.served = 10;
  return found;
}

evidence with_error(error_kind kind) {
  evidence found = healthy();
  found.errors[static_cast<std::size_t>(kind)] = 2;
  return found;
}

TEST(verdict, a_healthy_cell_is_valid_without_a_word) {
  EXPECT_EQ(judge(healthy()).found, verdict::valid);
  EXPECT_THAT(judge(healthy()).reasons, IsEmpty());
}

TEST(verdict, every_kind_of_error_has_its_verdict_and_a_reason) {
  for (std::size_t i = 0; i < error_kinds; ++i) {
    const auto kind = static_cast<error_kind>(i);
    const auto judged = judge(with_error(kind));
    EXPECT_EQ(judged.found, is_wrong_reply(kind) ? verdict::wrong_replies : verdict::errors) << name_of(kind);
    ASSERT_EQ(judged.reasons.size(), 1U);
    EXPECT_THAT(judged.reasons[0], testing::StartsWith("2 "));
  }
  evidence silent = healthy();
  silent.replies = 0;
  EXPECT_EQ(judge(silent).found, verdict::errors);
  evidence behind = healthy();
  behind.unsent = 1;
  EXPECT_EQ(judge(behind).found, verdict::errors);
}

TEST(verdict, closed_loop_is_client_bound_when_the_client_is_busy_and_the_server_is_not) {
  struct {
    double client;
    std::optional<double> server;
    verdict expected;
  } table[] = {{0.94, 0.50, verdict::valid},       {0.95, 0.94, verdict::client_bound},
               {0.95, 0.95, verdict::valid},       {1.00, 1.00, verdict::valid},
               {0.94, {}, verdict::valid},         {0.95, {}, verdict::client_bound},
               {0.99, 0.10, verdict::client_bound}};
  for (const auto& row : table) {
    evidence found = healthy();
    found.client_busy = row.client;
    found.server_busy = row.server;
    EXPECT_EQ(judge(found).found, row.expected) << row.client << ' ' << row.server.value_or(-1);
  }
}

TEST(verdict, open_loop_is_client_bound_by_its_schedule_alone) {
  evidence found = healthy();
  found.open_loop = true;
  found.client_busy = 1;
  found.server_busy = 0.1;
  found.on_schedule = 0.95;
  EXPECT_EQ(judge(found).found, verdict::valid);
  found.on_schedule = 0.94;
  const auto judged = judge(found);
  EXPECT_EQ(judged.found, verdict::client_bound);
  EXPECT_THAT(judged.reasons[0], HasSubstr("--rate"));
}

TEST(verdict, starved_is_a_connection_without_reply_or_an_uneven_share) {
  evidence unserved = healthy();
  unserved.served = 9;
  EXPECT_EQ(judge(unserved).found, verdict::starved);
  EXPECT_THAT(judge(unserved).reasons[0], HasSubstr("1 of 10 connections"));
  evidence uneven = healthy();
  uneven.spread.jain_index = 0.89;
  EXPECT_EQ(judge(uneven).found, verdict::starved);
}

TEST(verdict, uneven_loops_are_a_reason_but_no_verdict) {
  evidence found = healthy();
  found.spread.connections_per_loop = {16, 10};
  EXPECT_EQ(judge(found).found, verdict::valid);
  EXPECT_THAT(judge(found).reasons[0], HasSubstr("10 to 16"));
  found.spread.connections_per_loop = {15, 10};
  EXPECT_THAT(judge(found).reasons, IsEmpty());
}

TEST(verdict, the_gravest_wins_and_stands_first_and_nothing_is_left_out) {
  evidence found = with_error(error_kind::refused);
  found.errors[static_cast<std::size_t>(error_kind::corrupt)] = 1;
  found.client_busy = 1;
  found.server_busy = 0.2;
  found.served = 3;
  found.idle_share = 0.5;
  const auto judged = judge(found);
  EXPECT_EQ(judged.found, verdict::wrong_replies);
  ASSERT_EQ(judged.reasons.size(), 5U);
  EXPECT_THAT(judged.reasons[0], HasSubstr("wrong replies"));
  EXPECT_THAT(judged.reasons[1], HasSubstr("refused"));
  EXPECT_THAT(judged.reasons[2], HasSubstr("client thread had work"));
  EXPECT_THAT(judged.reasons[3], HasSubstr("got no reply"));
  EXPECT_THAT(judged.reasons[4], HasSubstr("not driven"));
}

TEST(verdict, a_restless_server_is_a_reason_but_no_verdict) {
  evidence found = healthy();
  found.idle_share = 0.02;
  EXPECT_EQ(judge(found).found, verdict::valid);
  EXPECT_THAT(judge(found).reasons[0], HasSubstr("2.0 %"));
  found.idle_share = 0.01;
  EXPECT_THAT(judge(found).reasons, IsEmpty());
}

TEST(verdict, names_are_those_of_the_result_file) {
  EXPECT_EQ(name_of(verdict::wrong_replies), "wrong-replies");
  EXPECT_EQ(name_of(verdict::errors), "errors");
  EXPECT_EQ(name_of(verdict::client_bound), "client-bound");
  EXPECT_EQ(name_of(verdict::starved), "starved");
  EXPECT_EQ(name_of(verdict::valid), "valid");
}

TEST(jain_index, is_one_for_equal_shares_and_one_nth_for_a_monopoly) {
  EXPECT_DOUBLE_EQ(jain_index(std::vector<double>{3, 3, 3}), 1);
  EXPECT_DOUBLE_EQ(jain_index(std::vector<double>{9, 0, 0}), 1.0 / 3);
  EXPECT_DOUBLE_EQ(jain_index(std::vector<double>{0, 0}), 1);
  EXPECT_DOUBLE_EQ(jain_index({}), 1);
}

// What the connections of a healthy server with several loops get: each loop the same, divided over as many
// as the kernel gave it.
std::vector<double> shares_of_loops(std::size_t loops, std::size_t connections, std::mt19937_64& random) {
  std::vector<std::size_t> loop_of(connections);
  std::vector<double> held(loops);
  for (auto& loop : loop_of) ++held[loop = random() % loops];
  std::vector<double> shares;
  shares.reserve(connections);
  for (const auto loop : loop_of) shares.push_back(1000 / held[loop]);
  return shares;
}

TEST(fairness, a_server_whose_loops_hold_unequal_numbers_is_not_unfair) {
  std::mt19937_64 random(1);
  int unfair_over_all = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto shares = shares_of_loops(8, 100, random);
    unfair_over_all += jain_index(shares) < 0.9;
    const auto found = fairness_within_loops(shares, 8);
    EXPECT_GE(found.jain_index, 0.9);
    EXPECT_EQ(std::accumulate(found.connections_per_loop.begin(), found.connections_per_loop.end(), 0U),
              100U);
  }
  EXPECT_GT(unfair_over_all, 150) << "what an index over all connections says of the same servers";
}

TEST(fairness, starving_within_a_loop_is_found) {
  std::mt19937_64 random(1);
  // One loop gives a tenth to half of its connections. Few such among many loops may hide behind a crowded
  // one.
  const struct {
    std::size_t loops;
    int found_at_least;
  } table[] = {{2, 1000}, {4, 900}, {8, 700}};
  for (const auto& row : table) {
    int found = 0;
    const std::size_t half = 50 / row.loops;
    for (int i = 0; i < 1000; ++i) {
      auto shares = shares_of_loops(row.loops - 1, 100 - 2 * half, random);
      const double whole = 1000 / (1.1 * static_cast<double>(half));
      shares.insert(shares.end(), half, whole);
      shares.insert(shares.end(), half, whole / 10);
      found += fairness_within_loops(shares, row.loops).jain_index < 0.9;
    }
    EXPECT_GE(found, row.found_at_least) << row.loops;
  }
}

TEST(fairness, one_loop_is_the_index_over_all) {
  const std::vector<double> shares{1, 2, 3, 4};
  EXPECT_DOUBLE_EQ(fairness_within_loops(shares, 1).jain_index, jain_index(shares));
  EXPECT_EQ(fairness_within_loops(shares, 1).connections_per_loop, std::vector<std::size_t>{4});
  EXPECT_EQ(fairness_within_loops({5, 5, 10}, 2).connections_per_loop, (std::vector<std::size_t>{2, 1}));
  EXPECT_DOUBLE_EQ(fairness_within_loops({5, 5, 10}, 2).jain_index, 1);
  EXPECT_DOUBLE_EQ(fairness_within_loops({0, 0}, 8).jain_index, 1);
  EXPECT_DOUBLE_EQ(fairness_within_loops({}, 8).jain_index, 1);
}

}  // namespace
}  // namespace echobench
