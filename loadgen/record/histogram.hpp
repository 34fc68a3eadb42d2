// A log-linear recorder of durations: 1 ns to 100 s with three significant digits (HdrHistogram's layout).
//
// Fixed size (~230 KiB), no allocation after construction. One writer; merge after that thread was joined.
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace echobench {

// Where a value is counted: those below 2048 have a bucket each, each power of two above shares 1024.
struct log_linear {
  static constexpr unsigned half_bits = 10;
  static constexpr std::size_t half = std::size_t{1} << half_bits;

  static constexpr std::size_t index_of(std::uint64_t value) noexcept {
    const auto shift = static_cast<unsigned>(std::bit_width(value | (2 * half - 1))) - (half_bits + 1);
    return (std::size_t{shift} << half_bits) + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::uint64_t highest_at(std::size_t index) noexcept {
    if (index < 2 * half) return index;
    const auto shift = static_cast<unsigned>(index >> half_bits) - 1;
    return ((half + (index & (half - 1)) + 1) << shift) - 1;
  }
};

class histogram {
public:
  using nanoseconds = std::chrono::nanoseconds;

  static constexpr nanoseconds highest = std::chrono::seconds(100);
  static constexpr int significant_digits = 3;

  histogram() : counts_(bucket_count) {}

  // Below 1 ns counts as 1 ns; above `highest` is counted by saturated() and kept as `highest`.
  void record(nanoseconds duration) noexcept {
    const auto value = std::max<std::int64_t>(duration.count(), 1);
    saturated_ += value > highest.count();
    const auto kept = static_cast<std::uint64_t>(std::min<std::int64_t>(value, highest.count()));
    ++counts_[log_linear::index_of(kept)];
    ++count_;
    sum_ += static_cast<double>(kept);
    max_ = std::max(max_, kept);
  }

  // What is known in addition to the counts, so that a histogram can be sent elsewhere and put together
  // again.
  struct summary {
    std::uint64_t count = 0;
    std::uint64_t saturated = 0;
    std::uint64_t max = 0;
    double sum = 0;
  };
  summary summed_up() const noexcept { return {count_, saturated_, max_, sum_}; }
  // `counts` as counts() gives them.
  void assign(std::span<const std::uint64_t> counts, const summary& of) noexcept;

  void merge(const histogram& other) noexcept;
  void clear() noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t saturated() const noexcept { return saturated_; }
  nanoseconds mean() const noexcept;  // 0 when empty
  double variance() const noexcept;   // ns squared, within the precision; 0 when empty
  nanoseconds max() const noexcept { return nanoseconds(max_); }

  // The highest value that is alike, within the precision, to the one that `percent` of the samples do not
  // exceed; 0 when empty.
  nanoseconds percentile(double percent) const noexcept;

  // The same, but empty when fewer than 100 samples lie beyond it: such a figure would be a guess.
  std::optional<nanoseconds> supported_percentile(double percent) const noexcept;

  // Counts by bucket in HdrHistogram's order, for the encoder.
  std::span<const std::uint64_t> counts() const noexcept { return counts_; }

private:
  static constexpr std::size_t bucket_count =
      (log_linear::index_of(static_cast<std::uint64_t>(highest.count())) / log_linear::half + 1) *
      log_linear::half;

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t saturated_ = 0;
  std::uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace echobench
