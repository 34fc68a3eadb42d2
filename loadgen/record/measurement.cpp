#include "loadgen/record/measurement.hpp"

#include <algorithm>

namespace echobench {

std::size_t cell::events_from(std::chrono::nanoseconds time) const noexcept {
  const auto bucket = [](std::chrono::nanoseconds of) {
    return log_linear::index_of(static_cast<std::uint64_t>(of.count()));
  };
  return static_cast<std::size_t>(std::ranges::count_if(
      slowest_of_windows, [&](const auto each) { return bucket(each) >= bucket(time); }));
}

std::optional<std::chrono::nanoseconds> cell::supported_percentile(double percent) const noexcept {
  constexpr std::size_t windows_needed = 50;
  constexpr std::size_t events_needed = 5;
  const auto found = latency().supported_percentile(percent);
  if (found && slowest_of_windows.size() >= windows_needed && events_from(*found) < events_needed)
    return std::nullopt;
  return found;
}

double cell::per_second(std::uint64_t counted) const noexcept {
  return elapsed.count() > 0 ? static_cast<double>(counted) * 1e9 / static_cast<double>(elapsed.count()) : 0;
}

double cell::connect_rate() const noexcept {
  const auto time = connecting.count() > 0 ? connecting : elapsed;  // crr: one for each request
  return time.count() > 0
             ? static_cast<double>(record.connect.count()) * 1e9 / static_cast<double>(time.count())
             : 0;
}

double cell::effective_concurrency() const noexcept {
  return per_second(record.service.count()) * static_cast<double>(record.service.mean().count()) / 1e9;
}

std::optional<double> cell::on_schedule() const noexcept {
  if (record.send_delay.count() == 0) return std::nullopt;
  return static_cast<double>(record.on_schedule) / static_cast<double>(record.send_delay.count());
}

std::uint64_t cell::wrong_replies() const noexcept {
  std::uint64_t sum = 0;
  for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
    if (is_wrong_reply(static_cast<load_error>(kind))) sum += record.errors[kind];
  }
  return sum;
}

}  // namespace echobench
