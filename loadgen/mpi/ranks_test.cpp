// Run by mpirun: every rank makes the same calls, and each may find a mistake.
#include "loadgen/mpi/ranks.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <random>
#include <thread>

namespace echobench {
namespace {

using namespace std::chrono_literals;

const ranks* all = nullptr;

// What rank `of` has measured.
std::vector<std::chrono::nanoseconds> samples(std::size_t of) {
  std::mt19937_64 random(of);
  std::vector<std::chrono::nanoseconds> times;
  for (std::size_t i = 0; i < 20'000 + 1000 * of; ++i) {
    times.emplace_back(static_cast<std::int64_t>(random() % 50'000'000 >> (random() % 20)));
  }
  times.push_back(1s * (of + 1));
  return times;
}

TEST(ranks, merged_percentiles_are_those_of_one_histogram_of_all_samples) {
  histogram merged;
  for (const auto time : samples(all->rank())) merged.record(time);
  const auto before = merged.count();
  all->merge(merged);
  if (!all->is_first()) {
    EXPECT_EQ(merged.count(), before);
    return;
  }
  histogram one;
  for (std::size_t rank = 0; rank < all->count(); ++rank) {
    for (const auto time : samples(rank)) one.record(time);
  }
  EXPECT_EQ(merged.count(), one.count());
  EXPECT_EQ(merged.max(), one.max());
  EXPECT_EQ(merged.mean(), one.mean());
  for (const double percent : {0.0, 10.0, 50.0, 90.0, 99.0, 99.9, 99.99, 100.0}) {
    EXPECT_EQ(merged.percentile(percent), one.percentile(percent)) << percent;
  }
}

TEST(ranks, plain_data_is_broadcast_and_gathered_in_order) {
  struct pair {
    std::size_t rank;
    double value;
  };
  pair sent{.rank = all->rank(), .value = 4.5};
  all->broadcast(sent);
  EXPECT_EQ(sent.rank, 0U);
  sent.rank = all->rank();
  const auto gathered = all->gather(sent);
  ASSERT_EQ(gathered.size(), all->is_first() ? all->count() : 0U);
  for (std::size_t i = 0; i < gathered.size(); ++i) EXPECT_EQ(gathered[i].rank, i);
}

TEST(ranks, sums_and_greatest_are_of_all) {
  std::vector<std::uint64_t> sums{1, all->rank()};
  std::vector<std::uint64_t> most{all->rank(), 7};
  all->sum(sums);
  all->greatest(most);
  if (!all->is_first()) return;
  EXPECT_EQ(sums, (std::vector<std::uint64_t>{all->count(), all->count() * (all->count() - 1) / 2}));
  EXPECT_EQ(most, (std::vector<std::uint64_t>{all->count() - 1, 7}));
}

TEST(ranks, clocks_of_one_machine_agree) {
  const auto differences = all->compare_clocks();
  for (const auto& difference : differences) {
    EXPECT_LE(std::abs(difference.ahead_ns), difference.error_ns + 1'000'000);
    EXPECT_LT(difference.error_ns, 100'000'000);
  }
}

TEST(ranks, a_rank_that_waits_sleeps) {
  all->broadcast(*std::make_unique<int>());  // together
  const auto before = std::clock();
  if (all->is_first()) std::this_thread::sleep_for(500ms);
  int nothing = 0;
  all->broadcast(nothing);
  EXPECT_LT(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC, 0.4);
}

}  // namespace
}  // namespace echobench

int main(int argc, char** argv) {
  const echobench::ranks world(&argc, &argv);
  echobench::all = &world;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
