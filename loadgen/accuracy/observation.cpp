#include "loadgen/accuracy/observation.hpp"

#include "loadgen/plan/schedule.hpp"
#include "loadgen/session/message_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <unordered_map>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

struct matched_request {
  std::uint32_t connection;  // its number within the load
  std::uint32_t index;       // in the connection's stream
};

// Which connection of the load, and which of its requests: both are in the header's sequence field, whose
// first value on a connection is that of its request 0.
class matcher {
public:
  explicit matcher(const observed_load& load) : connections_(load.connections) {}

  matched_request match(const observed_request& request) {
    const auto [entry, first] = numbers_.try_emplace(request.connection, 0);
    if (first) entry->second = message_plan::connection_of_first(request.sequence);
    const std::uint32_t number = entry->second;
    const std::uint32_t index = request.sequence - message_plan::sequence_field(number, 0);
    if (number >= connections_ || index >= most_requests) {
      throw std::invalid_argument(
          fmt::format("request {} of connection {} of the log is not one of this load ({} connections, no "
                      "warm-up)",
                      request.sequence, request.connection, connections_));
    }
    return {number, index};
  }

private:
  static constexpr std::uint32_t most_requests = 1U << 28;  // of a connection, in a log

  std::size_t connections_;
  std::unordered_map<std::uint32_t, std::uint32_t> numbers_;
};

// Of each connection: when its first requests are due, as many as are wanted.
std::vector<std::vector<nanoseconds>> due_times(const observed_load& load,
                                                const std::vector<std::uint32_t>& wanted) {
  schedule requests(load.arrival, {.rate = load.rate,
                                   .connections = {.whole = load.connections},
                                   .seed = load.seed,
                                   .on_off = load.on_off});
  std::vector<std::vector<nanoseconds>> due(load.connections);
  auto missing =
      static_cast<std::size_t>(std::ranges::count_if(wanted, [](std::uint32_t count) { return count > 0; }));
  while (missing > 0) {
    const auto [when, connection] = requests.next();
    requests.release();
    due[connection].push_back(when);
    missing -= due[connection].size() == wanted[connection];
  }
  return due;
}

template <class Time>
arrival_gaps gaps_between(std::vector<Time>& times) {
  arrival_gaps gaps;
  std::ranges::sort(times);
  for (std::size_t i = 1; i < times.size(); ++i) gaps.record(times[i] - times[i - 1]);
  return gaps;
}

void count_tenths(observation& of, const std::vector<observed_request::time_point>& sorted, double mean_ns) {
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    const nanoseconds beyond = sorted[i] - sorted[i - 1] - arrival_gaps::short_gap;
    if (beyond < nanoseconds(0)) continue;
    const double quantile = -std::expm1(-static_cast<double>(beyond.count()) / mean_ns);
    ++of.tenths[std::min<std::size_t>(static_cast<std::size_t>(quantile * 10), 9)];
  }
}

}  // namespace

observation observe(std::span<const observed_request> log, const observed_load& load) {
  observation result;
  if (log.empty()) throw std::invalid_argument("the log has no requests");
  matcher numbers(load);
  std::vector<matched_request> requests;
  std::vector<std::uint32_t> wanted(load.connections);
  for (const observed_request& request : log) {
    const auto match = requests.emplace_back(numbers.match(request));
    wanted[match.connection] = std::max(wanted[match.connection], match.index + 1);
    result.shared += request.stamp == arrival_stamp::shared;
    result.absent += request.stamp == arrival_stamp::absent;
  }
  result.requests = log.size();

  const auto schedule = due_times(load, wanted);
  std::vector<nanoseconds> due;
  std::vector<nanoseconds> delays;
  std::vector<observed_request::time_point> arrived;
  for (std::size_t i = 0; i < log.size(); ++i) {
    due.push_back(schedule[requests[i].connection][requests[i].index]);
    arrived.push_back(log[i].arrived);
    delays.push_back(log[i].arrived.time_since_epoch() - due.back());
  }
  const nanoseconds shortest = std::ranges::min(delays);
  for (const nanoseconds delay : delays) result.delay.record(delay - shortest);
  result.arrived = gaps_between(arrived);
  result.due = gaps_between(due);
  count_tenths(result, arrived, 1e9 / static_cast<double>(load.rate));
  return result;
}

}  // namespace echobench
