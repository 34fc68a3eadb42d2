#include "loadgen/drive/rate_steps.hpp"

#include "common/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr nanoseconds shortest_step = 1s;  // so that queues can build
constexpr nanoseconds longest_trial = 20s;
constexpr nanoseconds window = 20ms;  // of accounting
constexpr std::int64_t most_windows = 1000;
constexpr double samples_beyond = 120;  // a percentile is supported by a hundred
constexpr double lowest_share = 0.02;   // of the capacity
constexpr double highest_share = 1.05;

// Requests per second in a closed loop; 0: none were answered.
double measure_capacity(coordinator& run, std::size_t target) {
  const auto seen = run.warm_up(target, 0, std::max<nanoseconds>(run.asked().warmup, shortest_step));
  if (seen.elapsed == 0ns) return 0;
  return seen.requests * 1e9 / static_cast<double>(seen.elapsed.count());
}

// The time in which the first queues build is not counted.
void measure_step(coordinator& run, std::size_t number, nanoseconds length) {
  run.begin(number);
  const auto windows = std::clamp<std::int64_t>(length / window, 1, most_windows);
  run.drive_windows(number, length, static_cast<std::size_t>(windows), length / 10);
  run.end(number);
  run.settle();  // what comes unasked for is this step's
  run.conclude(number);
  run.forget_counters();
}

struct step {
  std::size_t target;
  std::size_t cell;
};

}  // namespace

void sweep_rates(coordinator& run) {
  const options& asked = run.asked();
  const auto percents = asked.sweep->percents();
  const auto length = asked.slice.value_or(std::max<nanoseconds>(
      asked.duration / static_cast<std::int64_t>(percents.size() * run.targets()), shortest_step));
  std::vector<std::vector<step>> rounds(percents.size());
  for (std::size_t t = 0; t < run.targets(); ++t) {
    const double capacity = measure_capacity(run, t);
    if (!run.is_live(t)) {
      run.conclude(run.add_cell(t, 1));
      continue;
    }
    for (std::size_t i = 0; i < percents.size(); ++i) {
      const auto rate = std::max<std::int64_t>(std::llround(capacity * percents[i] / 100), 1);
      rounds[i].push_back({t, run.add_cell(t, static_cast<std::uint64_t>(rate))});
      run.of(rounds[i].back().cell).capacity = capacity;
    }
  }
  run.result().slices.length = length;
  std::mt19937_64 random(asked.seed);
  const auto start = clock::now();
  for (const std::size_t i : next_round(rounds.size(), random)) {
    for (const std::size_t k : next_round(rounds[i].size(), random)) {
      const auto [target, number] = rounds[i][k];
      if (run.goes_on() && run.is_live(target)) {
        measure_step(run, number, length);
      } else {
        run.conclude(number);
      }
    }
  }
  if (run.stopped()) run.forget_undriven();
  run.result().elapsed = clock::now() - start;
}

trial_outcome outcome_of(const cell& trial, const std::vector<latency_objective>& objectives) {
  if (trial.judged.found == verdict::client_bound) return trial_outcome::unusable;
  if (trial.judged.found != verdict::valid) return trial_outcome::missed;
  const bool held = std::ranges::all_of(objectives, [&](const latency_objective& objective) {
    return trial.record.response.percentile(objective.percent) <= objective.at_most;
  });
  return held ? trial_outcome::held : trial_outcome::missed;
}

void search_maximum_rates(coordinator& run) {
  const options& asked = run.asked();
  const double highest_percent = std::ranges::max(asked.objectives, {}, &latency_objective::percent).percent;
  // So long that the percentile is supported.
  const auto length_at = [&](std::uint64_t rate) {
    const double seconds = samples_beyond / (1 - highest_percent / 100) / static_cast<double>(rate);
    const auto needed = nanoseconds(static_cast<std::int64_t>(std::min(seconds, 1e4) * 1e9));
    return std::clamp(needed, asked.slice.value_or(shortest_step),
                      std::max(asked.slice.value_or(shortest_step), longest_trial));
  };

  run.result().slices.length = asked.slice.value_or(shortest_step);
  const auto start = clock::now();
  std::vector<rate_search> searches;
  auto& maximum_rates = run.result().maximum_rates;
  for (std::size_t t = 0; t < run.targets(); ++t) {
    const double capacity = measure_capacity(run, t);
    const auto lowest = std::max<std::int64_t>(std::llround(capacity * lowest_share), 1);
    const auto highest = std::max<std::int64_t>(std::llround(capacity * highest_share), lowest + 1);
    maximum_rates.push_back({.target = t, .capacity = capacity, .found = {}, .cells = {}});
    searches.emplace_back(rate_search_settings{.lowest = static_cast<std::uint64_t>(lowest),
                                               .highest = static_cast<std::uint64_t>(highest)});
    if (run.lost(t) > 0) run.conclude(run.add_cell(t, static_cast<std::uint64_t>(lowest)));  // says how
  }
  for (bool more = true; more && run.goes_on();) {
    more = false;
    for (std::size_t t = 0; t < run.targets() && !run.stopped(); ++t) {
      const auto rate = searches[t].next();
      if (!rate || run.lost(t) > 0) continue;
      const std::size_t number = run.add_cell(t, *rate);
      run.of(number).capacity = maximum_rates[t].capacity;
      maximum_rates[t].cells.push_back(number);
      measure_step(run, number, length_at(*rate));
      if (!run.stopped()) searches[t].answer(outcome_of(run.of(number), asked.objectives));
      more = true;
    }
  }
  for (std::size_t t = 0; t < run.targets(); ++t) {
    maximum_rates[t].found = searches[t].result();
    maximum_rates[t].lost = run.lost(t);
  }
  run.result().elapsed = clock::now() - start;
}

}  // namespace echobench
