// Which rates to try and what has to hold at them, as plain data, and its texts on the command line.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace echobench {

// Of all requests, `percent` per cent are answered within `at_most`.
struct latency_objective {
  double percent = 99;                          // 50 to 99.999
  std::chrono::nanoseconds at_most{1'000'000};  // above 0

  friend bool operator==(const latency_objective&, const latency_objective&) = default;
};

// Rates in per cent of the measured capacity, equally spaced, both ends included.
struct rate_sweep {
  double low = 10;         // 1 to 200
  double high = 95;        // above low, to 200
  std::size_t steps = 10;  // 2 to 1000

  std::vector<double> percents() const;  // rising

  friend bool operator==(const rate_sweep&, const rate_sweep&) = default;
};

// `p99=1ms`, or several that must all hold, each percentile once: `p99=1ms,p99.9=5ms`. Throws
// std::invalid_argument that names --slo.
std::vector<latency_objective> parse_objectives(const std::string& text);

// `10%..95%`, or with the number of steps, `10%..95%/9`. Throws std::invalid_argument that names --sweep.
rate_sweep parse_sweep(const std::string& text);

std::string format_objectives(const std::vector<latency_objective>& objectives);
std::string format_sweep(const rate_sweep& sweep);  // with the number of steps

}  // namespace echobench
