#include "loadgen/record/arrival_gaps.hpp"

#include "loadgen/plan/seeded.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

arrival_gaps exponential_gaps(std::uint64_t seed, std::uint64_t count, double mean_ns) {
  arrival_gaps gaps;
  for (std::uint64_t i = 0; i < count; ++i) {
    const double gap = exponential(seeded_bits(seed, 0, i)) * mean_ns;
    gaps.record(std::chrono::nanoseconds(static_cast<std::int64_t>(gap)));
  }
  return gaps;
}

TEST(arrival_gaps, none_have_no_variation) {
  EXPECT_EQ(arrival_gaps().coefficient_of_variation(), 0);
  EXPECT_EQ(arrival_gaps().share_below_short(), 0);
}

TEST(arrival_gaps, equal_ones_have_no_variation) {
  arrival_gaps gaps;
  for (int i = 0; i < 1000; ++i) gaps.record(20us);
  EXPECT_NEAR(gaps.coefficient_of_variation(), 0, 1e-6);
  EXPECT_EQ(gaps.share_below_short(), 0);
}

TEST(arrival_gaps, two_kinds_have_the_variation_of_two_values) {
  arrival_gaps gaps;
  for (int i = 0; i < 1000; ++i) gaps.record(i % 2 == 0 ? 5us : 15us);
  EXPECT_NEAR(gaps.coefficient_of_variation(), 0.5, 1e-9);
  EXPECT_EQ(gaps.share_below_short(), 0.5);
}

TEST(arrival_gaps, exponential_ones_have_a_variation_of_one) {
  const arrival_gaps gaps = exponential_gaps(1, 100'000, 20'000);
  EXPECT_NEAR(gaps.coefficient_of_variation(), 1, 0.02);
  EXPECT_NEAR(gaps.share_below_short(), 1 - std::exp(-0.5), 0.01);
}

TEST(arrival_gaps, those_of_two_streams_are_pooled) {
  arrival_gaps gaps = exponential_gaps(1, 50'000, 20'000);
  gaps.merge(exponential_gaps(2, 50'000, 20'000));
  EXPECT_EQ(gaps.count, 100'000U);
  EXPECT_NEAR(gaps.coefficient_of_variation(), 1, 0.02);
}

}  // namespace
}  // namespace echobench
