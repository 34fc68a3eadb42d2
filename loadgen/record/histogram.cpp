#include "loadgen/record/histogram.hpp"

#include <cmath>

namespace echobench {

void histogram::assign(std::span<const std::uint64_t> counts, const summary& of) noexcept {
  std::ranges::copy(counts, counts_.begin());
  count_ = of.count;
  saturated_ = of.saturated;
  max_ = of.max;
  sum_ = of.sum;
}

void histogram::merge(const histogram& other) noexcept {
  if (other.count_ == 0) return;
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  saturated_ += other.saturated_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

void histogram::clear() noexcept {
  std::ranges::fill(counts_, 0U);
  count_ = saturated_ = max_ = 0;
  sum_ = 0;
}

histogram::nanoseconds histogram::mean() const noexcept {
  return count_ == 0 ? nanoseconds(0) : nanoseconds(std::llround(sum_ / static_cast<double>(count_)));
}

double histogram::variance() const noexcept {
  if (count_ == 0) return 0;
  const double mean = sum_ / static_cast<double>(count_);
  double sum = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    const double difference = static_cast<double>(log_linear::highest_at(i)) - mean;
    if (counts_[i] > 0) sum += static_cast<double>(counts_[i]) * difference * difference;
  }
  return sum / static_cast<double>(count_);
}

histogram::nanoseconds histogram::percentile(double percent) const noexcept {
  if (count_ == 0) return nanoseconds(0);
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_) - 1e-6)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    if (seen >= rank) return nanoseconds(std::min(log_linear::highest_at(i), max_));
  }
  return max();
}

std::optional<histogram::nanoseconds> histogram::supported_percentile(double percent) const noexcept {
  const double beyond = static_cast<double>(count_) * (100.0 - percent) / 100.0;
  if (beyond < 100.0 - 1e-6) return std::nullopt;
  return percentile(percent);
}

}  // namespace echobench
