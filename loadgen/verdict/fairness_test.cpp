#include "loadgen/verdict/fairness.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

namespace echobench {
namespace {

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
    const auto result = fairness_within_loops(shares, 8);
    EXPECT_GE(result.jain_index, 0.9);
    EXPECT_EQ(std::accumulate(result.connections_per_loop.begin(), result.connections_per_loop.end(), 0U),
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
    int noticed = 0;
    const std::size_t half = 50 / row.loops;
    for (int i = 0; i < 1000; ++i) {
      auto shares = shares_of_loops(row.loops - 1, 100 - 2 * half, random);
      const double whole = 1000 / (1.1 * static_cast<double>(half));
      shares.insert(shares.end(), half, whole);
      shares.insert(shares.end(), half, whole / 10);
      noticed += fairness_within_loops(shares, row.loops).jain_index < 0.9;
    }
    EXPECT_GE(noticed, row.found_at_least) << row.loops;
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
