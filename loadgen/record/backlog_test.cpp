#include "loadgen/record/backlog.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;

constexpr nanoseconds window_length = 20ms;

// A load on servers that answer one request after the other, each `serving` of them at a time.
struct simulated_load {
  double rate = 1000;          // requests per second
  nanoseconds service = 1ms;   // of each
  std::size_t serving = 1000;  // at a time; what is due beyond waits
  nanoseconds settling = 0ms;
  nanoseconds measured = 1s;
  bool poisson = true;
  nanoseconds stalled_from = 1h;  // nothing is answered from then
  nanoseconds stalled_to = 1h;    // until then
  std::uint64_t seed = 1;

  backlog_growth run(nanoseconds period = 0ms) const {
    const auto windows = static_cast<std::size_t>(measured / window_length);
    std::vector<part_counts> parts(windows + 2);
    const auto part_at = [&](nanoseconds time) -> part_counts& {
      if (time < settling) return parts.front();
      return parts[std::min<std::size_t>(static_cast<std::size_t>((time - settling) / window_length),
                                         windows) +
                   1];
    };
    std::mt19937_64 random(seed);
    std::exponential_distribution<double> gap(rate);
    std::vector<nanoseconds> free_at(serving, 0ns);
    std::size_t next = 0;
    for (double due_s = poisson ? gap(random) : 0;; due_s += poisson ? gap(random) : 1 / rate) {
      const auto due = nanoseconds(std::llround(due_s * 1e9));
      if (due >= settling + measured) break;
      ++part_at(due).due;
      auto& server = free_at[next++ % serving];
      auto begun = std::max(due, server);
      if (begun + service > stalled_from && begun < stalled_to) begun = stalled_to;
      server = begun + service;
      part_counts& part = part_at(server);
      ++part.requests;
      part.service += service;
    }
    const part_counts drain = parts.back();
    parts.pop_back();
    return growth_of_backlog(parts, drain, measured, period);
  }
};

TEST(backlog, a_server_that_answers_in_time_keeps_up_however_long_it_takes) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    for (const bool poisson : {true, false}) {
      EXPECT_TRUE((simulated_load{.poisson = poisson, .seed = seed}).run().kept_up()) << seed;
      EXPECT_TRUE((simulated_load{.service = 300ms, .poisson = poisson, .seed = seed}).run().kept_up())
          << seed;
      EXPECT_TRUE((simulated_load{.service = 2s, .serving = 10'000, .poisson = poisson, .seed = seed})
                      .run()
                      .kept_up())
          << seed;
      EXPECT_TRUE(
          (simulated_load{.rate = 10, .service = 300ms, .poisson = poisson, .seed = seed}).run().kept_up())
          << seed;
      EXPECT_TRUE((simulated_load{.service = 20ms, .settling = 100ms, .poisson = poisson, .seed = seed})
                      .run()
                      .kept_up())
          << seed;
    }
  }
}

TEST(backlog, a_server_that_answers_fewer_than_are_offered_does_not_keep_up) {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    // One after the other, 1 ms each: 1,000 a second.
    EXPECT_FALSE((simulated_load{.rate = 1200, .serving = 1, .seed = seed}).run().kept_up()) << seed;
    EXPECT_FALSE(
        (simulated_load{.rate = 1200, .serving = 1, .settling = 100ms, .seed = seed}).run().kept_up())
        << seed;
    EXPECT_FALSE((simulated_load{.rate = 1100, .serving = 1, .measured = 4s, .seed = seed}).run().kept_up())
        << seed;
    // Ten at a time, 100 ms each: 100 a second.
    EXPECT_FALSE((simulated_load{.rate = 200, .service = 100ms, .serving = 10, .seed = seed}).run().kept_up())
        << seed;
  }
  const auto lost = simulated_load{.rate = 2000, .serving = 1, .poisson = false}.run();
  EXPECT_EQ(lost.due, 2000U);
  EXPECT_NEAR(lost.left_behind(), 760, 30) << "half of what was due until the last quarter began";
}

TEST(backlog, that_rises_through_a_long_run_counts_although_it_is_a_small_part) {
  const simulated_load slowly{.rate = 1010, .serving = 1, .measured = 20s, .poisson = false};
  const auto grown = slowly.run();
  EXPECT_TRUE(grown.rose);
  EXPECT_FALSE(grown.kept_up());
  EXPECT_LT(grown.left_behind(), 0.02 * static_cast<double>(grown.due));
  backlog_growth twice = grown;
  twice += grown;
  EXPECT_FALSE(twice.rose) << "a drive begins anew";
}

TEST(backlog, of_a_stall_that_is_caught_up_with_does_not_count) {
  EXPECT_TRUE((simulated_load{.stalled_from = 500ms, .stalled_to = 700ms}).run().kept_up());
  EXPECT_TRUE((simulated_load{.stalled_from = 850ms, .stalled_to = 1050ms}).run().kept_up())
      << "it had kept up in the last quarter, too, until then";
  EXPECT_FALSE((simulated_load{.stalled_from = 500ms, .stalled_to = 1100ms}).run().kept_up());
}

TEST(backlog, of_a_burst_goes_with_its_end) {
  // 100 are due and 40 answered in each window of a burst, which lasts 12 of 36 windows; the last quarter of
  // the run is one.
  std::vector<part_counts> parts(49);
  for (std::size_t w = 0; w < 48; ++w) {
    if (w % 36 < 12) parts[w + 1].due = 100;
    if (w % 36 < 30) parts[w + 1].requests = 40;
  }
  const part_counts drain{.requests = 720};
  EXPECT_FALSE(growth_of_backlog(parts, drain, 48 * window_length, 0ms).kept_up());
  EXPECT_TRUE(growth_of_backlog(parts, drain, 48 * window_length, 36 * window_length).kept_up());
}

TEST(backlog, counts_what_the_client_took_in_hand_too_late) {
  std::vector<part_counts> parts(11);
  for (std::size_t w = 1; w < parts.size(); ++w) parts[w] = {.requests = 10, .due = 10};
  EXPECT_TRUE(growth_of_backlog(parts, {}, 10 * window_length, 0ms).kept_up());
  EXPECT_FALSE(growth_of_backlog(parts, {.requests = 50, .due = 50}, 10 * window_length, 0ms).kept_up());
}

TEST(backlog, of_many_short_drives_adds_up) {
  // In a drive of one window each: 1 of 20 is left behind, which alone would be chance.
  std::vector<part_counts> parts{{}, {.requests = 19, .due = 20}};
  const part_counts drain{.requests = 1};
  backlog_growth sum;
  for (int i = 0; i < 2; ++i) sum += growth_of_backlog(parts, drain, window_length, 0ms);
  EXPECT_TRUE(sum.kept_up());
  for (int i = 0; i < 200; ++i) sum += growth_of_backlog(parts, drain, window_length, 0ms);
  EXPECT_FALSE(sum.kept_up());
}

TEST(backlog, of_one_drive_among_several_is_a_stall) {
  const std::vector<part_counts> served{{}, {.requests = 1000, .due = 1000}};
  const std::vector<part_counts> stalled{{}, {.requests = 700, .due = 1000}};
  const std::vector<part_counts> short_of{{}, {.requests = 950, .due = 1000}};
  const auto kept_up = [](const std::vector<std::vector<part_counts>>& drives) {
    backlog_growth sum;
    for (const auto& parts : drives) {
      sum += growth_of_backlog(parts, {.requests = 1000 - parts[1].requests}, window_length, 0ms);
    }
    return sum.kept_up();
  };
  EXPECT_TRUE(kept_up({served, stalled, served, served}));
  EXPECT_FALSE(kept_up({served, stalled, stalled, served}));
  EXPECT_FALSE(kept_up({short_of, short_of, short_of, short_of})) << "5 % in each";
  EXPECT_FALSE(kept_up({stalled, served})) << "of two it is half";
}

TEST(backlog, of_nothing_is_none) {
  EXPECT_TRUE(backlog_growth{}.kept_up());
  EXPECT_TRUE(growth_of_backlog(std::vector<part_counts>(1), {}, 0ns, 0ns).kept_up());
  EXPECT_TRUE(growth_of_backlog(std::vector<part_counts>(2), {}, 1s, 0ns).kept_up());
}

}  // namespace
}  // namespace echobench
