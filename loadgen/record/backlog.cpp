#include "loadgen/record/backlog.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace echobench {
namespace {

constexpr double tolerated = 0.02;  // of what was due
constexpr double tolerated_if_rose = 0.005;
constexpr double standard_deviations = 4;
constexpr std::size_t quarters = 4;
constexpr std::size_t several = 3;  // drives

}  // namespace

backlog_growth& backlog_growth::operator+=(const backlog_growth& other) noexcept {
  due += other.due;
  growth += other.growth;
  explained += other.explained;
  variance += other.variance;
  drives += other.drives;
  largest = std::max(largest, other.largest);
  rose = drives == 1 && other.rose;
  return *this;
}

double backlog_growth::left_behind() const noexcept {
  return std::max(growth - explained - standard_deviations * std::sqrt(variance), 0.0);
}

bool backlog_growth::kept_up() const noexcept {
  const double stall = drives >= several ? largest : 0;
  return left_behind() - stall <= (rose ? tolerated_if_rose : tolerated) * static_cast<double>(due);
}

backlog_growth growth_of_backlog(std::span<const part_counts> parts, const part_counts& drain,
                                 std::chrono::nanoseconds measured, std::chrono::nanoseconds period) {
  backlog_growth result{.drives = 1};
  const std::size_t windows = parts.size() - 1;
  if (windows == 0 || measured.count() <= 0) return result;
  std::vector<double> backlog;  // at the ends of the parts
  part_counts sum;
  for (const part_counts& part : parts) {
    sum += part;
    backlog.push_back(static_cast<double>(sum.due) - static_cast<double>(sum.requests));
  }
  // What a stall, of the server or of the whole machine, leaves behind for a moment is caught up with: the
  // least of a quarter's windows counts.
  std::array<double, quarters> least{};
  for (std::size_t q = 0; q < quarters; ++q) {
    const auto first = backlog.begin() + 1 + static_cast<std::ptrdiff_t>(q * windows / quarters);
    const auto last = backlog.begin() + 1 + static_cast<std::ptrdiff_t>((q + 1) * windows / quarters);
    least[q] = first == last ? backlog.back() : *std::min_element(first, last);
  }
  result.rose = windows >= 2 * quarters && least[0] < least[1] && least[1] < least[2] && least[2] < least[3];
  // What was due and not taken in hand until the drain is in no part.
  result.growth = least.back() + static_cast<double>(drain.due) - backlog.front();

  for (const part_counts& part : parts.subspan(1)) result.due += part.due;
  result.due += drain.due;
  const double rate = static_cast<double>(result.due) / static_cast<double>(measured.count());
  sum += drain;
  const double service =
      sum.requests > 0 ? static_cast<double>(sum.service.count()) / static_cast<double>(sum.requests) : 0;
  result.explained =
      std::max(rate * service - backlog.front(), 0.0) + rate * static_cast<double>(period.count());
  result.variance = rate * service + 1;
  result.largest = std::max(result.growth - result.explained, 0.0);
  return result;
}

}  // namespace echobench
