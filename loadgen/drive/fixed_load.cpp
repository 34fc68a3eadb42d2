#include "loadgen/drive/fixed_load.hpp"

#include "common/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <stdexcept>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Accounting windows of a run against a single target: longer runs have longer windows, not larger results.
constexpr std::int64_t most_windows = 1000;

// Returns the cycle of the slowest target.
nanoseconds warm_up(coordinator& run) {
  const options& asked = run.asked();
  nanoseconds slowest_cycle{0};
  for (std::size_t t = 0; t < run.targets(); ++t) {
    const warmup_seen seen = run.warm_up(t, asked.rate, asked.warmup);
    slowest_cycle =
        std::max(slowest_cycle,
                 in_flight_cycle(seen, asked.load.connections * asked.load.pipeline, asked.open_loop()));
  }
  if (!run.stopped()) {
    run.result().slices =
        plan_slices(asked.slice, slowest_cycle, asked.open_loop(), run.targets() == 1, asked.rounds > 0);
  }
  return slowest_cycle;
}

// One target: driven without a break, its time divided into windows.
void measure_one(coordinator& run, nanoseconds cycle) {
  const options& asked = run.asked();
  auto& [length, settling] = run.result().slices;
  const auto duration = std::max<nanoseconds>(asked.duration, length * asked.rounds);
  const auto windows = std::max(
      asked.rounds, static_cast<std::size_t>(std::clamp<std::int64_t>(duration / length, 1, most_windows)));
  settling = settling_alone(cycle, duration, asked.open_loop());
  length = duration / static_cast<std::int64_t>(run.drive_windows(0, duration, windows, settling));
}

// A round that is not complete does not count.
void drop_last_round(std::vector<cell>& cells) {
  std::size_t last = 0;
  for (const cell& measured : cells) {
    if (!measured.slices.empty()) last = std::max(last, measured.slices.back().index);
  }
  for (cell& measured : cells) {
    if (!measured.slices.empty() && measured.slices.back().index == last) measured.slices.pop_back();
  }
}

// Several targets: rounds of slices, as many as fit, and as many as were asked for.
void measure_in_turns(coordinator& run) {
  const options& asked = run.asked();
  const slice_plan plan = run.result().slices;
  const auto round = plan.length * run.targets();
  if (round > asked.duration && asked.rounds == 0) {
    throw std::invalid_argument(fmt::format(
        "--duration {} is too short: one slice of each target takes {} together (--slice {}); "
        "use at least that, or --rounds",
        format_duration(asked.duration), format_duration(std::chrono::ceil<std::chrono::milliseconds>(round)),
        format_duration(std::chrono::ceil<std::chrono::microseconds>(plan.length))));
  }
  std::mt19937_64 random(asked.seed);
  const auto end = clock::now() + asked.duration;
  const auto at_least = std::max<std::size_t>(asked.rounds, 1);
  for (std::size_t index = 0; run.goes_on() && (index < at_least || clock::now() + round <= end); ++index) {
    for (const std::size_t t : next_round(run.targets(), random)) {
      if (!run.is_live(t) || run.stopped()) continue;
      run.drive_slice(t, index, plan);
      run.progress().show([&] {
        const auto left = std::max<nanoseconds>(end - clock::now(), 0ns);
        return fmt::format("round {} of {} targets, {:.0f} s left", index + 1, run.targets(),
                           std::chrono::duration<double>(left).count());
      });
    }
  }
  if (run.stopped()) drop_last_round(run.result().cells);
}

}  // namespace

void measure_fixed_load(coordinator& run) {
  for (std::size_t t = 0; t < run.targets(); ++t) run.add_cell(t, run.asked().rate);
  const nanoseconds cycle = warm_up(run);
  if (run.goes_on()) {
    for (std::size_t t = 0; t < run.targets(); ++t) run.begin(t);
    const auto start = clock::now();
    run.targets() == 1 ? measure_one(run, cycle) : measure_in_turns(run);
    run.result().elapsed = clock::now() - start;
    for (std::size_t t = 0; t < run.targets(); ++t) run.end(t);
  }
  run.settle();
  for (std::size_t t = 0; t < run.targets(); ++t) run.conclude(t);
}

}  // namespace echobench
