#include "loadgen/plan/rate_search.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace echobench {
namespace {

constexpr double cells_per_spread = 2;
constexpr double cells_per_resolution = 8;
// Of either end of the range: trials within it cannot separate maxima so far out.
constexpr double spreads_beyond = 6;

double real(std::uint64_t rate) noexcept { return static_cast<double>(rate); }

template <class Numbers>
double sum_of(const Numbers& all) noexcept {
  return std::accumulate(all.begin(), all.end(), 0.0);
}

}  // namespace

rate_search::rate_search(const rate_search_settings& settings)
    : settings_(settings),
      step_(std::min(settings.spread / cells_per_spread, settings.resolution / cells_per_resolution)) {
  assert(settings.lowest >= 1 && settings.lowest < settings.highest);
  assert(settings.resolution > 0 && settings.spread > 0 && settings.lapse > 0 && settings.lapse < 0.5);
  const double margin = spreads_beyond * settings.spread;
  const double first = std::log(real(settings.lowest)) - margin;
  const double last = std::log(real(settings.highest)) + margin;
  const auto cells = static_cast<std::size_t>(std::ceil((last - first) / step_)) + 1;
  for (std::size_t i = 0; i < cells; ++i) {
    const double log_rate = first + static_cast<double>(i) * step_;
    by_spread weights;
    weights.fill(std::exp(log_rate - last));
    grid_.push_back({.log_rate = log_rate, .weights = weights});
  }
  for (double& weight : grid_.front().weights)
    weight /= -std::expm1(-step_);  // it stands for all rates below, too
  scale_weights();
  conclude();
}

void rate_search::answer(trial_outcome outcome) {
  assert(next_);
  const auto rate = *next_;
  result_.trials.push_back({.rate = rate, .outcome = outcome});
  if (outcome != trial_outcome::unusable) {
    unusable_in_turn_ = 0;
    learn(std::log(real(rate)), outcome == trial_outcome::held);
  } else if (++unusable_in_turn_ > settings_.repeats) {
    unusable_in_turn_ = 0;
    result_.ceiling = rate;
  }
  conclude();
}

rate_search::by_spread rate_search::holds(const cell& maximum, double log_rate) const noexcept {
  by_spread probabilities;
  double spread = settings_.spread;
  for (double& probability : probabilities) {
    const double sure = 1 / (1 + std::exp((log_rate - maximum.log_rate) / spread));
    probability = settings_.lapse + (1 - 2 * settings_.lapse) * sure;
    spread *= 2;
  }
  return probabilities;
}

void rate_search::learn(double log_rate, bool held) noexcept {
  for (cell& maximum : grid_) {
    const by_spread sure = holds(maximum, log_rate);
    for (std::size_t i = 0; i < spreads; ++i) maximum.weights[i] *= held ? sure[i] : 1 - sure[i];
  }
  scale_weights();
}

void rate_search::scale_weights() noexcept {
  double sum = 0;
  for (const cell& maximum : grid_) sum += sum_of(maximum.weights);
  for (cell& maximum : grid_) {
    for (double& weight : maximum.weights) weight /= sum;
  }
}

double rate_search::quantile(double probability) const noexcept {
  double left = probability;
  for (const cell& maximum : grid_) {
    const double weight = sum_of(maximum.weights);
    if (left < weight) return std::exp(maximum.log_rate + step_ * (left / weight - 0.5));
    left -= weight;
  }
  return std::exp(grid_.back().log_rate);
}

// Of the maximum, whatever the spread, after a trial there: in nats, but for a constant.
double rate_search::expected_entropy(double log_rate) const noexcept {
  double held = 0;
  double entropy = 0;
  const auto term = [](double p) { return p > 0 ? p * std::log(p) : 0; };
  for (const cell& maximum : grid_) {
    const by_spread sure = holds(maximum, log_rate);
    double here = 0;
    for (std::size_t i = 0; i < spreads; ++i) here += maximum.weights[i] * sure[i];
    held += here;
    entropy -= term(here) + term(sum_of(maximum.weights) - here);
  }
  return entropy + term(held) + term(1 - held);
}

std::uint64_t rate_search::most_informative(std::uint64_t top) const noexcept {
  std::uint64_t best = 0;
  double least = 0;
  for (int percent = 5; percent <= 95; percent += 10) {
    const auto rate = std::clamp(static_cast<std::uint64_t>(std::llround(quantile(percent / 100.0))),
                                 settings_.lowest, top);
    const double entropy = expected_entropy(std::log(real(rate)));
    if (best != 0 && entropy >= least) continue;
    best = rate;
    least = entropy;
  }
  return best;
}

rate_search::reach rate_search::reach_so_far() const noexcept {
  std::uint64_t usable = 0;
  for (const auto& [rate, outcome] : result_.trials) {
    const bool below = !result_.ceiling || rate < *result_.ceiling;
    if (below && outcome != trial_outcome::unusable) usable = std::max(usable, rate);
  }
  if (!result_.ceiling) return {.usable = usable, .limit = settings_.highest, .top = settings_.highest};
  const auto limit = std::max(usable, settings_.lowest);
  const double gap = real(*result_.ceiling) / real(limit);
  const bool narrow = gap - 1 <= settings_.resolution;
  const auto halfway = static_cast<std::uint64_t>(real(limit) * std::sqrt(gap));
  return {.usable = usable, .limit = limit, .top = narrow ? limit : halfway};
}

void rate_search::conclude() {
  const interval maximum{.low = quantile(0.025), .middle = quantile(0.5), .high = quantile(0.975)};
  const reach reached = reach_so_far();
  place(maximum, reached);
  result_.ended = reason_to_end(maximum, reached);
  next_.reset();
  if (result_.ended) return;
  next_ = most_informative(reached.top);
}

std::optional<search_end> rate_search::reason_to_end(const interval& maximum,
                                                     const reach& reached) const noexcept {
  if (result_.ceiling && *result_.ceiling <= settings_.lowest) return search_end::unusable_at_lowest;
  const bool no_further = reached.usable == reached.limit && reached.top == reached.limit;
  if (no_further && maximum.low >= real(reached.limit)) return search_end::holds_at_top;
  if (maximum.high <= real(settings_.lowest)) return search_end::missed_at_lowest;
  if (maximum.high / maximum.low - 1 <= settings_.resolution) return search_end::resolved;
  if (result_.trials.size() >= settings_.budget) return search_end::out_of_trials;
  return std::nullopt;
}

void rate_search::place(const interval& maximum, const reach& reached) noexcept {
  const double lowest = real(settings_.lowest);
  const double tried = real(reached.usable);
  result_.low.reset();
  result_.high.reset();
  if (reached.usable == 0) {
    result_.place = maximum_place::unknown;
    result_.estimate = 0;
  } else if (maximum.middle > real(reached.limit)) {
    result_.place = maximum_place::at_least;
    result_.estimate = tried;
    result_.low = std::min(maximum.low, tried);
  } else if (maximum.middle < lowest) {
    result_.place = maximum_place::at_most;
    result_.estimate = lowest;
    result_.high = std::max(maximum.high, lowest);
  } else {
    result_.place = maximum_place::found;
    result_.estimate = maximum.middle;
    result_.low = maximum.low;
    result_.high = maximum.high;
  }
}

}  // namespace echobench
