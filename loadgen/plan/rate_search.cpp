#include "loadgen/plan/rate_search.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace echobench {
namespace {

constexpr double cells_per_spread = 3;
constexpr double cells_per_resolution = 8;
// Of either end of the range: trials within it cannot tell knees so far out apart.
constexpr double spreads_beyond = 6;

double real(std::uint64_t rate) noexcept { return static_cast<double>(rate); }

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
    knees_.push_back({.log_rate = log_rate, .weight = std::exp(log_rate - last)});
  }
  knees_.front().weight /= -std::expm1(-step_);  // it stands for all rates below, too
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

void rate_search::learn(double log_rate, bool held) noexcept {
  for (cell& knee : knees_) {
    const double sure = 1 / (1 + std::exp((log_rate - knee.log_rate) / settings_.spread));
    const double holds = settings_.lapse + (1 - 2 * settings_.lapse) * sure;
    knee.weight *= held ? holds : 1 - holds;
  }
  scale_weights();
}

void rate_search::scale_weights() noexcept {
  double sum = 0;
  for (const cell& knee : knees_) sum += knee.weight;
  for (cell& knee : knees_) knee.weight /= sum;
}

double rate_search::quantile(double probability) const noexcept {
  double left = probability;
  for (const cell& knee : knees_) {
    if (left < knee.weight) return std::exp(knee.log_rate + step_ * (left / knee.weight - 0.5));
    left -= knee.weight;
  }
  return std::exp(knees_.back().log_rate);
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
  const interval knee{.low = quantile(0.025), .middle = quantile(0.5), .high = quantile(0.975)};
  const reach reached = reach_so_far();
  place(knee, reached);
  result_.ended = reason_to_end(knee, reached);
  next_.reset();
  if (result_.ended) return;
  next_ = std::clamp(static_cast<std::uint64_t>(std::llround(knee.middle)), settings_.lowest, reached.top);
}

std::optional<search_end> rate_search::reason_to_end(const interval& knee,
                                                     const reach& reached) const noexcept {
  if (result_.ceiling && *result_.ceiling <= settings_.lowest) return search_end::unusable_at_lowest;
  const bool no_further = reached.usable == reached.limit && reached.top == reached.limit;
  if (no_further && knee.low >= real(reached.limit)) return search_end::holds_at_top;
  if (knee.high <= real(settings_.lowest)) return search_end::missed_at_lowest;
  if (knee.high / knee.low - 1 <= settings_.resolution) return search_end::resolved;
  if (result_.trials.size() >= settings_.budget) return search_end::out_of_trials;
  return std::nullopt;
}

void rate_search::place(const interval& knee, const reach& reached) noexcept {
  const double lowest = real(settings_.lowest);
  const double tried = real(reached.usable);
  result_.low.reset();
  result_.high.reset();
  if (reached.usable == 0) {
    result_.place = knee_place::unknown;
    result_.estimate = 0;
  } else if (knee.middle > real(reached.limit)) {
    result_.place = knee_place::at_least;
    result_.estimate = tried;
    result_.low = std::min(knee.low, tried);
  } else if (knee.middle < lowest) {
    result_.place = knee_place::at_most;
    result_.estimate = lowest;
    result_.high = std::max(knee.high, lowest);
  } else {
    result_.place = knee_place::found;
    result_.estimate = knee.middle;
    result_.low = knee.low;
    result_.high = knee.high;
  }
}

}  // namespace echobench
