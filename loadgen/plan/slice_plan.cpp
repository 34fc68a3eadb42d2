#include "loadgen/plan/slice_plan.hpp"

#include "common/units.hpp"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <utility>

namespace echobench {

using namespace std::chrono_literals;

std::chrono::nanoseconds in_flight_cycle(const warmup_seen& of, std::size_t in_flight, bool open_loop) {
  if (open_loop || of.requests == 0) return of.service;
  const double time = static_cast<double>(of.elapsed.count()) * static_cast<double>(in_flight);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(time / of.requests));
}

slice_plan plan_slices(std::optional<std::chrono::nanoseconds> explicit_length,
                       std::chrono::nanoseconds cycle, bool open_loop, bool alone, bool lengthen) {
  const auto settling = alone ? std::chrono::nanoseconds(0) : 2 * cycle;
  const auto shortest = open_loop && !alone ? std::chrono::nanoseconds(1s) : 20ms;
  if (!explicit_length) return {.length = std::max(20 * cycle, shortest), .settling = settling};
  if (*explicit_length < 5 * cycle) {
    const auto minimum = std::chrono::ceil<std::chrono::milliseconds>(5 * cycle);
    if (lengthen) return {.length = minimum, .settling = settling};
    throw std::invalid_argument("--slice " + format_duration(*explicit_length) +
                                " is too short: one cycle through all requests in flight takes " +
                                format_duration(std::chrono::ceil<std::chrono::microseconds>(cycle)) +
                                ", so that a slice would count next to nothing; use at least " +
                                format_duration(minimum));
  }
  return {.length = *explicit_length, .settling = settling};
}

std::chrono::nanoseconds settling_alone(std::chrono::nanoseconds cycle, std::chrono::nanoseconds measured,
                                        bool open_loop) {
  return !open_loop && 10 * cycle <= measured ? cycle : 0ns;
}

std::vector<std::size_t> next_round(std::size_t targets, std::mt19937_64& random) {
  std::vector<std::size_t> order(targets);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t left = targets; left > 1; --left) std::swap(order[left - 1], order[random() % left]);
  return order;
}

}  // namespace echobench
