#include "loadgen/drive/evidence.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

double ratio(nanoseconds part, nanoseconds whole) {
  return whole.count() > 0 ? static_cast<double>(part.count()) / static_cast<double>(whole.count()) : 0;
}

// In the closed loop: connections that ask again at once keep so many requests in flight. Requests that are
// under way when counting begins are not counted, which matters where they last as long as it does.
std::optional<double> concurrency_asked(const cell& own, const load_spec& load) {
  constexpr std::int64_t least_cycles = 20;
  const bool pauses = load.pace.think.mean.count() > 0 || load.pace.on_off.off.count() > 0;
  if (own.rate != 0 || pauses || own.drives == 0) return std::nullopt;
  const auto each = own.elapsed / static_cast<std::int64_t>(own.drives);
  if (own.record.service.percentile(99) * least_cycles > each) return std::nullopt;
  return static_cast<double>(load.connections * load.pipeline);
}

// Of the workers of each process, and of its sends.
void judge_ranks(cell& own) {
  const std::size_t threads = own.client_times.size() / std::max<std::size_t>(own.ranks.size(), 1);
  for (std::size_t r = 0; r < own.ranks.size(); ++r) {
    rank_share& its = own.ranks[r];
    for (std::size_t i = 0; i < threads; ++i) {
      const client_time& time = own.client_times[r * threads + i];
      its.client_busy = std::max(its.client_busy, ratio(time.busy(), time.elapsed));
    }
    evidence of;
    of.errors[static_cast<std::size_t>(load_error::reset)] = its.errors;
    of.replies = its.replies;
    of.open_loop = own.rate != 0;
    of.client_busy = its.client_busy;
    of.server_busy = own.server ? std::optional(own.server->busy) : std::nullopt;
    if (its.due > 0) of.on_schedule = static_cast<double>(its.on_schedule) / static_cast<double>(its.due);
    its.verdict = name_of(judge(of).found);
  }
}

}  // namespace

void take_in(cell& own, target_outcome found, const load_spec& load) {
  own.record.merge(found.record);
  own.opened = found.opened;
  own.ranks = std::move(found.ranks);
  if (load.pattern != workload::crr) own.connecting = found.connecting;
  const bool open_loop = own.rate != 0;
  std::vector<double> shares;
  for (std::size_t number = 0; number < found.connections.size(); ++number) {
    const connection_counts& counts = found.connections[number];
    own.served += counts.replies > 0;
    own.due += counts.due;
    if (counts.longest > own.longest_wait.time) own.longest_wait = {number, counts.longest};
    if (open_loop && counts.due == 0) continue;  // was given nothing to do
    ++own.given_work;
    const double share =
        static_cast<double>(counts.replies) / static_cast<double>(open_loop ? counts.due : 1);
    if (shares.empty() || share < own.slowest.share) own.slowest = {number, share, counts.replies};
    shares.push_back(share);
  }
  own.jain_index = jain_index(shares);
  // In the open loop a share is of what was due, which a loop with more connections gives, too.
  own.spread = fairness_within_loops(std::move(shares), open_loop ? 1 : own.driven.server_loops);
  for (const client_time& each : own.client_times) {
    own.client_busy = std::max(own.client_busy, ratio(each.busy(), each.elapsed));
  }
  judge_ranks(own);
}

evidence evidence_of(const cell& own, const load_spec& load, const std::optional<client_ceiling>& ceiling) {
  const auto errors_of = [&](load_error kind) { return own.record.errors[static_cast<std::size_t>(kind)]; };
  return {.errors = own.record.errors,
          .refused_errno = own.record.first_errno[static_cast<std::size_t>(load_error::refused)],
          .ports = errors_of(load_error::no_port) > 0 ? std::optional(read_local_ports()) : std::nullopt,
          .replies = own.requests_total,
          .open_loop = own.rate != 0,
          .client_busy = own.client_busy,
          .server_busy = own.server ? std::optional(own.server->busy) : std::nullopt,
          .on_schedule = own.on_schedule(),
          .dropped = own.record.dropped,
          .connections = own.given_work,
          .served = own.served,
          .spread = own.spread,
          .concurrency = own.effective_concurrency(),
          .concurrency_asked = concurrency_asked(own, load),
          .ceiling_share = ceiling && ceiling->throughput > 0 ? own.throughput() / ceiling->throughput : 0,
          .idle_share = own.server ? ratio(own.server->cpu_idle, own.span) : 0,
          .listen_overflows = own.system.listen_overflows.value_or(0),
          .retransmissions = own.system.retransmissions.value_or(0),
          .stolen_share = ratio(own.system.stolen.value_or(nanoseconds(0)), own.system_span),
          .beyond_histogram = own.latency().saturated(),
          .server_remark = own.checked.remark};
}

}  // namespace echobench
