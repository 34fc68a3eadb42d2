#include "loadgen/plan/rate_search.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace echobench {
namespace {

constexpr std::uint64_t simulated_capacity = 100'000;

rate_search_settings usual_search() {
  return {.lowest = simulated_capacity / 50, .highest = simulated_capacity * 105 / 100};
}

using server_answer = std::function<trial_outcome(std::uint64_t)>;

rate_search_result search_to_end(const rate_search_settings& settings, const server_answer& answer) {
  rate_search search(settings);
  while (const auto rate = search.next()) {
    EXPECT_GE(*rate, settings.lowest);
    EXPECT_LE(*rate, settings.highest);
    search.answer(answer(*rate));
  }
  return search.result();
}

server_answer holds_up_to(double maximum) {
  return [maximum](std::uint64_t rate) {
    return static_cast<double>(rate) <= maximum ? trial_outcome::held : trial_outcome::missed;
  };
}

server_answer unusable_above(double limit, const server_answer& else_answer) {
  return [limit, else_answer](std::uint64_t rate) {
    return static_cast<double>(rate) > limit ? trial_outcome::unusable : else_answer(rate);
  };
}

TEST(rate_search, without_noise_the_interval_holds_the_maximum_and_is_as_narrow_as_asked) {
  for (const double maximum : {2'500.0, 7'000.0, 30'000.0, 52'000.0, 81'000.0, 99'000.0}) {
    const auto result = search_to_end(usual_search(), holds_up_to(maximum));
    EXPECT_EQ(result.place, maximum_place::found) << maximum;
    EXPECT_EQ(result.ended, search_end::resolved) << maximum;
    EXPECT_LE(result.low.value(), maximum);
    EXPECT_GE(result.high.value(), maximum);
    EXPECT_LE(*result.high / *result.low, 1 + usual_search().resolution);
    EXPECT_NEAR(result.estimate / maximum, 1, 0.02);
    EXPECT_LE(result.trials.size(), 30U) << maximum;
    EXPECT_EQ(result.ceiling, std::nullopt);
  }
}

TEST(rate_search, a_lie_at_the_first_trial_costs_trials_but_not_the_result) {
  for (const double maximum : {20'000.0, 80'000.0}) {
    bool lied = false;
    const auto result = search_to_end(usual_search(), [&](std::uint64_t rate) {
      const auto truth = holds_up_to(maximum)(rate);
      if (std::exchange(lied, true)) return truth;
      return truth == trial_outcome::held ? trial_outcome::missed : trial_outcome::held;
    });
    EXPECT_EQ(result.ended, search_end::resolved) << maximum;
    EXPECT_LE(result.low.value(), maximum);
    EXPECT_GE(result.high.value(), maximum);
  }
}

TEST(rate_search, what_holds_at_the_highest_rate_is_a_lower_bound) {
  const auto result = search_to_end(usual_search(), holds_up_to(1e9));
  EXPECT_EQ(result.place, maximum_place::at_least);
  EXPECT_EQ(result.ended, search_end::holds_at_top);
  EXPECT_EQ(result.estimate, 105'000);
  EXPECT_EQ(result.low, 105'000);
  EXPECT_EQ(result.high, std::nullopt);
  EXPECT_EQ(result.trials.back(), (rate_trial{.rate = 105'000, .outcome = trial_outcome::held}));
  EXPECT_LE(result.trials.size(), 12U);
}

TEST(rate_search, what_is_missed_at_the_lowest_rate_is_an_upper_bound) {
  const auto result = search_to_end(usual_search(), holds_up_to(0));
  EXPECT_EQ(result.place, maximum_place::at_most);
  EXPECT_EQ(result.ended, search_end::missed_at_lowest);
  EXPECT_EQ(result.estimate, 2'000);
  EXPECT_EQ(result.low, std::nullopt);
  EXPECT_EQ(result.high, 2'000);
  EXPECT_EQ(result.trials.back(), (rate_trial{.rate = 2'000, .outcome = trial_outcome::missed}));
  EXPECT_LE(result.trials.size(), 16U);
}

TEST(rate_search, an_unusable_trial_is_repeated_and_counts_for_nothing) {
  rate_search search(usual_search());
  rate_search undisturbed(usual_search());
  const auto first = search.next();
  search.answer(trial_outcome::unusable);
  EXPECT_EQ(search.next(), first);
  search.answer(trial_outcome::unusable);
  EXPECT_EQ(search.next(), first);
  search.answer(trial_outcome::held);
  undisturbed.answer(trial_outcome::held);
  EXPECT_EQ(search.next(), undisturbed.next());
  search.answer(trial_outcome::unusable);  // the first in turn again
  EXPECT_EQ(search.next(), undisturbed.next());
  EXPECT_EQ(search.result().ceiling, std::nullopt);
}

TEST(rate_search, a_client_that_reaches_its_limit_first_gives_a_lower_bound) {
  for (const double limit : {9'000.0, 40'000.0, 70'000.0}) {
    const auto result = search_to_end(usual_search(), unusable_above(limit, holds_up_to(1e9)));
    EXPECT_EQ(result.place, maximum_place::at_least) << limit;
    EXPECT_EQ(result.ended, search_end::holds_at_top) << limit;
    EXPECT_LE(result.estimate, limit);
    EXPECT_GE(result.estimate, limit / (1 + usual_search().resolution));
    EXPECT_EQ(result.high, std::nullopt);
    ASSERT_TRUE(result.ceiling) << limit;
    EXPECT_GT(static_cast<double>(*result.ceiling), limit);
    EXPECT_EQ(std::ranges::count(result.trials, *result.ceiling, &rate_trial::rate), 3) << limit;
    EXPECT_LE(result.trials.size(), 14U) << limit;
  }
}

TEST(rate_search, a_client_that_reaches_its_limit_beyond_the_maximum_takes_nothing_from_the_result) {
  const auto result = search_to_end(usual_search(), unusable_above(45'000, holds_up_to(30'000)));
  EXPECT_EQ(result.place, maximum_place::found);
  EXPECT_EQ(result.ended, search_end::resolved);
  EXPECT_LE(result.low.value(), 30'000);
  EXPECT_GE(result.high.value(), 30'000);
  EXPECT_TRUE(result.ceiling);
}

TEST(rate_search, a_client_that_cannot_offer_the_lowest_rate_measures_nothing) {
  const auto result = search_to_end(usual_search(), unusable_above(0, holds_up_to(1e9)));
  EXPECT_EQ(result.place, maximum_place::unknown);
  EXPECT_EQ(result.ended, search_end::unusable_at_lowest);
  EXPECT_EQ(result.ceiling, 2'000U);
  EXPECT_EQ(result.low, std::nullopt);
  EXPECT_EQ(result.high, std::nullopt);
}

TEST(rate_search, it_ends_when_its_trials_are_used_up_and_tells_the_interval_so_far) {
  auto settings = usual_search();
  settings.budget = 7;
  const auto result = search_to_end(settings, holds_up_to(60'000));
  EXPECT_EQ(result.ended, search_end::out_of_trials);
  EXPECT_EQ(result.place, maximum_place::found);
  EXPECT_EQ(result.trials.size(), 7U);
  EXPECT_LE(result.low.value(), 60'000);
  EXPECT_GE(result.high.value(), 60'000);
  EXPECT_GT(*result.high / *result.low, 1 + settings.resolution);
}

TEST(rate_search, a_lower_bound_is_a_rate_that_was_tried) {
  auto settings = usual_search();
  for (settings.budget = 1; settings.budget < 9; ++settings.budget) {
    const auto result = search_to_end(settings, holds_up_to(1e9));
    const auto highest = std::ranges::max(result.trials, {}, &rate_trial::rate).rate;
    if (result.place == maximum_place::at_least) {
      EXPECT_EQ(result.estimate, highest);
    }
    EXPECT_LE(result.low.value(), highest);
  }
}

TEST(rate_search, the_smallest_range_is_searched) {
  const rate_search_settings settings{.lowest = 1, .highest = 2};
  EXPECT_EQ(search_to_end(settings, holds_up_to(9)).place, maximum_place::at_least);
  EXPECT_EQ(search_to_end(settings, holds_up_to(0)).place, maximum_place::at_most);
  const auto result = search_to_end(settings, holds_up_to(1));
  EXPECT_EQ(result.place, maximum_place::found);
  EXPECT_GE(result.low.value(), 0.9);
  EXPECT_LE(result.high.value(), 2.1);
}

// A server whose maximum is not a step and does not stand still, on a host where trials go wrong.
enum class drift : std::uint8_t {
  each_trial,    // anew for each trial
  slow,          // over about ten trials
  whole_search,  // anew for each search only
};

struct noisy_host {
  std::string name;
  drift kind = drift::each_trial;
  double edge = 0.01;      // scale of the logistic curve by which the log of a rate decides
  double reach = 0.03;     // of the drift, either way, uniformly
  double outliers = 0.05;  // answers turned round
};

struct simulated {
  double covered = 0;      // part of the searches whose interval holds the true maximum
  double overlapping = 0;  // part of the triples whose intervals have a rate in common
  double error = 0;        // mean distance of the estimate from the true maximum, relative to that
  std::size_t usual = 0;   // trials, median
  std::size_t many = 0;    // trials, 95 % of the searches need no more
};

std::ostream& operator<<(std::ostream& out, const simulated& seen) {
  return out << "covered " << seen.covered << ", overlapping " << seen.overlapping << ", error " << seen.error
             << ", trials " << seen.usual << " to " << seen.many;
}

class noisy_server {
public:
  noisy_server(const noisy_host& host, double maximum, std::mt19937_64& random)
      : host_(host), maximum_(maximum), random_(random), drifted_(either_way()) {}

  trial_outcome answer(std::uint64_t rate) {
    constexpr double kept = 0.9;
    if (host_.kind == drift::each_trial) drifted_ = either_way();
    if (host_.kind == drift::slow) drifted_ = kept * drifted_ + std::sqrt(1 - kept * kept) * either_way();
    const double beyond = std::log(static_cast<double>(rate) / maximum_) - drifted_;
    const bool held = uniform() < 1 / (1 + std::exp(beyond / host_.edge));
    const bool outlier = uniform() < host_.outliers;
    return held != outlier ? trial_outcome::held : trial_outcome::missed;
  }

private:
  // std's distributions differ between libraries, the figures must not.
  double uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  double either_way() { return host_.reach * (2 * uniform() - 1); }

  const noisy_host& host_;
  double maximum_;
  std::mt19937_64& random_;
  double drifted_;
};

simulated simulate(const noisy_host& host, const rate_search_settings& settings, int triples) {
  std::mt19937_64 random(2013);
  simulated seen;
  std::vector<std::size_t> trials;
  for (int i = 0; i < triples; ++i) {
    // Evenly from 5 % to 95 % of the capacity.
    const double maximum = static_cast<double>(simulated_capacity) * (0.05 + 0.9 * (i + 0.5) / triples);
    double low = 0;
    double high = 1e9;
    for (int search = 0; search < 3; ++search) {
      noisy_server server(host, maximum, random);
      const auto result = search_to_end(settings, [&](std::uint64_t rate) { return server.answer(rate); });
      const double own_low = result.low.value_or(0);
      const double own_high = result.high.value_or(1e9);
      seen.covered += own_low <= maximum && maximum <= own_high ? 1 : 0;
      seen.error += std::abs(std::log(result.estimate / maximum));
      trials.push_back(result.trials.size());
      low = std::max(low, own_low);
      high = std::min(high, own_high);
    }
    seen.overlapping += low <= high ? 1 : 0;
  }
  std::ranges::sort(trials);
  const auto searches = static_cast<double>(trials.size());
  seen.covered /= searches;
  seen.error /= searches;
  seen.overlapping /= triples;
  seen.usual = trials[trials.size() / 2];
  seen.many = trials[trials.size() * 95 / 100];
  return seen;
}

// Those in the header are of 200 triples; --gtest_output=xml has these.
constexpr int triples = 12;

TEST(rate_search, simulated_searches_agree_with_the_truth_and_with_one_another) {
  const struct {
    noisy_host host;
    double covered;  // at least
  } table[] = {
      {{.name = "sharp, each trial", .kind = drift::each_trial, .edge = 0.01}, 0.95},
      {{.name = "blunt, each trial", .kind = drift::each_trial, .edge = 0.02}, 0.95},
      {{.name = "sharp, slow", .kind = drift::slow, .edge = 0.01}, 0.90},
      {{.name = "blunt, slow", .kind = drift::slow, .edge = 0.02}, 0.88},
      {{.name = "sharp, whole search", .kind = drift::whole_search, .edge = 0.01}, 0.90},
      {{.name = "blunt, whole search", .kind = drift::whole_search, .edge = 0.02}, 0.88},
  };
  for (const auto& [host, covered] : table) {
    const auto seen = simulate(host, usual_search(), triples);
    RecordProperty(host.name, testing::PrintToString(seen));
    EXPECT_GE(seen.overlapping, 0.95) << host.name << ": " << seen;
    EXPECT_GE(seen.covered, covered) << host.name << ": " << seen;
    EXPECT_LE(seen.error, 0.02) << host.name << ": " << seen;
    EXPECT_LE(seen.usual, 33U) << host.name << ": " << seen;
    EXPECT_LE(seen.many, 40U) << host.name << ": " << seen;
  }
}

TEST(rate_search, on_a_quiet_host_the_maximum_is_met_closely) {
  const noisy_host quiet{.name = "quiet", .edge = 0.002, .reach = 0, .outliers = 0};
  const auto seen = simulate(quiet, usual_search(), triples / 2);
  RecordProperty(quiet.name, testing::PrintToString(seen));
  EXPECT_EQ(seen.covered, 1) << seen;
  EXPECT_EQ(seen.overlapping, 1) << seen;
  EXPECT_LE(seen.error, 0.008) << seen;
  EXPECT_LE(seen.many, 28U) << seen;
}

// Whether a trial holds is luck over a wide range of rates: the interval shows it.
TEST(rate_search, on_a_rough_host_the_interval_is_wide_and_holds_the_maximum) {
  for (const noisy_host& host :
       {noisy_host{.name = "rough", .kind = drift::slow, .edge = 0.05, .reach = 0.06},
        noisy_host{.name = "rougher", .kind = drift::slow, .edge = 0.15, .reach = 0.06}}) {
    const auto seen = simulate(host, usual_search(), triples);
    RecordProperty(host.name, testing::PrintToString(seen));
    EXPECT_GE(seen.overlapping, 0.8) << host.name << ": " << seen;
    EXPECT_GE(seen.covered, 0.8) << host.name << ": " << seen;
  }
}

// Without this the agreement above would prove nothing.
TEST(rate_search, the_simulation_can_tell_a_search_that_trusts_its_trials_too_much) {
  auto sure = usual_search();
  sure.spread = 0.001;
  const noisy_host host{.name = "too sure", .kind = drift::whole_search};
  const auto seen = simulate(host, sure, triples / 2);
  RecordProperty(host.name, testing::PrintToString(seen));
  EXPECT_LT(seen.overlapping, 0.9) << seen;
}

}  // namespace
}  // namespace echobench
