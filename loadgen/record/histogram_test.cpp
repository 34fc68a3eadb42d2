#include "loadgen/record/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

TEST(histogram, is_empty_at_first) {
  const histogram empty;
  EXPECT_EQ(empty.count(), 0U);
  EXPECT_EQ(empty.mean(), 0ns);
  EXPECT_EQ(empty.max(), 0ns);
  EXPECT_EQ(empty.percentile(50), 0ns);
  EXPECT_EQ(empty.supported_percentile(50), std::nullopt);
}

TEST(histogram, keeps_three_significant_digits_over_the_whole_range) {
  for (std::int64_t value = 1; value <= histogram::highest.count(); value = value * 5 / 4 + 1) {
    histogram one;
    one.record(nanoseconds(value));
    one.record(histogram::highest);  // so that the maximum does not bound the percentile
    const auto median = one.percentile(50).count();
    EXPECT_GE(median, value);
    EXPECT_LE(static_cast<double>(median - value), static_cast<double>(value) / 1000) << value;
  }
}

TEST(histogram, agrees_with_sorted_samples) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> spread(12, 1.5);
  histogram recorded;
  std::vector<double> samples;
  double sum = 0;
  for (int i = 0; i < 100'000; ++i) {
    const nanoseconds sample(std::llround(spread(random)) + 1);
    recorded.record(sample);
    samples.push_back(static_cast<double>(sample.count()));
    sum += samples.back();
  }
  std::sort(samples.begin(), samples.end());
  for (const double percent : {0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    const auto rank = std::max(1.0, std::ceil(percent * 1000 - 1e-6));
    const double exact = samples[static_cast<std::size_t>(rank) - 1];
    EXPECT_NEAR(static_cast<double>(recorded.percentile(percent).count()), exact, exact / 1000) << percent;
  }
  EXPECT_EQ(static_cast<double>(recorded.max().count()), samples.back());
  EXPECT_NEAR(static_cast<double>(recorded.mean().count()), sum / 100'000, 1);
}

TEST(histogram, knows_the_variance_within_its_precision) {
  histogram recorded;
  EXPECT_EQ(recorded.variance(), 0);
  for (const auto value : {1ms, 2ms, 6ms}) {
    for (int i = 0; i < 10; ++i) recorded.record(value);
  }
  EXPECT_NEAR(recorded.variance() / 1e12, 14.0 / 3, 0.02);
}

TEST(histogram, counts_what_it_cannot_hold_and_keeps_it_at_the_end) {
  histogram recorded;
  recorded.record(0ns);
  recorded.record(-5ns);
  recorded.record(1h);
  EXPECT_EQ(recorded.count(), 3U);
  EXPECT_EQ(recorded.saturated(), 1U);
  EXPECT_EQ(recorded.percentile(50), 1ns);
  EXPECT_EQ(recorded.max(), histogram::highest);
}

TEST(histogram, gives_no_percentile_with_fewer_than_100_samples_beyond) {
  histogram recorded;
  for (int i = 0; i < 9'999; ++i) recorded.record(1us);
  EXPECT_TRUE(recorded.supported_percentile(90));
  EXPECT_EQ(recorded.supported_percentile(99), std::nullopt);
  recorded.record(1us);
  EXPECT_EQ(recorded.supported_percentile(99), 1us);
  EXPECT_EQ(recorded.supported_percentile(99.9), std::nullopt);
}

TEST(histogram, merging_is_recording_both) {
  std::mt19937_64 random(3);
  histogram left;
  histogram right;
  histogram both;
  for (int i = 0; i < 10'000; ++i) {
    const nanoseconds sample(random() % 200'000'000'000);
    (i % 3 == 0 ? left : right).record(sample);
    both.record(sample);
  }
  left.merge(right);
  EXPECT_TRUE(std::ranges::equal(left.counts(), both.counts()));
  EXPECT_EQ(left.count(), both.count());
  EXPECT_EQ(left.saturated(), both.saturated());
  EXPECT_EQ(left.max(), both.max());
  EXPECT_NEAR(static_cast<double>(left.mean().count()), static_cast<double>(both.mean().count()), 1);
}

}  // namespace
}  // namespace echobench
