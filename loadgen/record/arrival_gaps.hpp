// The gaps between consecutive moments of one stream, summed up: how evenly or how randomly they lie.
#pragma once

#include <chrono>
#include <cmath>
#include <cstdint>

namespace echobench {

// Gaps of several streams are pooled by adding: the figures are then those of a stream, not of all together.
struct arrival_gaps {
  // The shortest gap that a client thread can be expected to follow: it takes some microseconds to send.
  static constexpr std::chrono::nanoseconds short_gap = std::chrono::microseconds(10);

  std::uint64_t count = 0;
  std::uint64_t below_short = 0;
  double sum = 0;  // ns
  double sum_of_squares = 0;

  void record(std::chrono::nanoseconds gap) noexcept {
    const auto ns = static_cast<double>(gap.count());
    ++count;
    below_short += gap < short_gap;
    sum += ns;
    sum_of_squares += ns * ns;
  }

  void merge(const arrival_gaps& other) noexcept {
    count += other.count;
    below_short += other.below_short;
    sum += other.sum;
    sum_of_squares += other.sum_of_squares;
  }

  // Standard deviation divided by mean: 1 for a Poisson process, 0 for moments at equal distances; 0 when
  // there are no gaps, or all of them are 0.
  double coefficient_of_variation() const noexcept {
    if (sum <= 0) return 0;
    const double mean = sum / static_cast<double>(count);
    const double variance = sum_of_squares / static_cast<double>(count) - mean * mean;
    return variance > 0 ? std::sqrt(variance) / mean : 0;
  }

  double share_below_short() const noexcept {
    return count > 0 ? static_cast<double>(below_short) / static_cast<double>(count) : 0;
  }
};

}  // namespace echobench
