#include "loadgen/record/measurement.hpp"

#include <algorithm>
#include <cmath>

namespace echobench {
namespace {

double per_second(std::uint64_t counted, std::chrono::nanoseconds time) noexcept {
  return time.count() > 0 ? static_cast<double>(counted) * 1e9 / static_cast<double>(time.count()) : 0;
}

// The next whole number; of what is not nothing, one at least.
std::uint64_t whole(double number) noexcept {
  return std::max<std::uint64_t>(static_cast<std::uint64_t>(std::llround(number)), number > 0 ? 1 : 0);
}

// In which `counted` were served if `served` were in `time`.
std::chrono::nanoseconds scaled(std::chrono::nanoseconds time, std::uint64_t counted,
                                double served) noexcept {
  if (counted == 0 || served <= 0) return time;
  const double scale = static_cast<double>(counted) / served;
  return std::chrono::nanoseconds(std::llround(static_cast<double>(time.count()) * scale));
}

}  // namespace

std::size_t cell::events_from(std::chrono::nanoseconds time) const noexcept {
  const auto bucket = [](std::chrono::nanoseconds of) {
    return log_linear::index_of(static_cast<std::uint64_t>(of.count()));
  };
  return static_cast<std::size_t>(std::ranges::count_if(
      slowest_of_windows, [&](const auto longest) { return bucket(longest) >= bucket(time); }));
}

std::optional<std::chrono::nanoseconds> cell::supported_percentile(double percent) const noexcept {
  constexpr std::size_t windows_needed = 50;
  constexpr std::size_t events_needed = 5;
  const auto value = latency().supported_percentile(percent);
  if (value && slowest_of_windows.size() >= windows_needed && events_from(*value) < events_needed)
    return std::nullopt;
  return value;
}

double cell::throughput() const noexcept { return per_second(requests, elapsed); }

double cell::per_measured_second(std::uint64_t counted) const noexcept {
  return per_second(counted, measured);
}

double cell::connect_rate() const noexcept {
  const bool per_request = connecting.count() == 0;  // crr
  return per_second(record.connect.count(), per_request ? elapsed : connecting);
}

double cell::effective_concurrency() const noexcept {
  return measured.count() > 0 ? static_cast<double>(in_flight.count()) / static_cast<double>(measured.count())
                              : 0;
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

void count_requests(cell& of) noexcept {
  const bool kept_up = of.rate != 0 && of.backlog.kept_up();
  // Of a run without a break the parts add up to the whole; slices of a target that takes turns stand alone.
  const bool are_parts = of.drives == 1 && of.slices.size() > 1;
  double served = 0;
  std::chrono::nanoseconds time(0);
  of.requests = 0;
  for (slice& part : of.slices) {
    const double exactly = kept_up ? static_cast<double>(part.answered) : part.served;
    served += exactly;
    time += part.elapsed;
    part.requests = are_parts ? whole(served) - of.requests : whole(exactly);
    if (!are_parts) part.elapsed = scaled(part.elapsed, part.requests, exactly);
    of.requests += part.requests;
  }
  of.elapsed = scaled(time, of.requests, served);
}

}  // namespace echobench
