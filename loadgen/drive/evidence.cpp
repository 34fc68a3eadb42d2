#include "loadgen/drive/evidence.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

double real(auto number) { return static_cast<double>(number); }

double ratio(nanoseconds part, nanoseconds whole) {
  return whole.count() > 0 ? real(part.count()) / real(whole.count()) : 0;
}

// Connections that ask again at once keep so many requests in flight.
std::optional<double> concurrency_asked(const cell& cell, const load_spec& load) {
  const bool pauses = load.pace.think.mean.count() > 0 || load.pace.on_off.off.count() > 0;
  if (cell.rate != 0 || pauses) return std::nullopt;
  return real(load.connections * load.pipeline);
}

// Of the operation that takes longest: runs that are long enough for the mean of all may see it once.
nanoseconds longest_operation(const target_record& record) {
  nanoseconds longest = record.service.mean();
  for (const histogram& times : record.by_operation) longest = std::max(longest, times.mean());
  return longest;
}

// Judges how evenly the connections of a cell were served.
class even_service {
public:
  even_service(const cell& cell, const std::vector<connection_counts>& connections, std::size_t pipeline)
      : open_loop_(cell.rate != 0), time_(real(cell.driven_for.count()) * real(pipeline)) {
    for (const histogram& times : cell.record.by_operation)
      operations_.push_back({real(times.mean().count()), times.variance()});
    if (!operations_.empty()) return;
    double replies = 0;
    double waited = 0;
    for (const connection_counts& conn : connections) {
      replies += real(conn.replies);
      waited += real(conn.waited.count());
    }
    operations_.push_back({replies > 0 ? waited / replies : 0, cell.record.service.variance()});
  }

  // 1: the connection was served as all were on average.
  //
  // Open loop: its replies divided by the requests that were due to it. Closed loop: how many are due to it
  // depends on which operations it asked for and how long it thought. Had its requests taken as long as those
  // of the same operations did on all connections, it would have waited less or longer than it did, by this
  // part of its time. Without operations and thoughts that is its number of replies divided by the mean.
  double share_of(const connection_counts& conn) const {
    if (open_loop_) return real(conn.replies) / real(conn.due);
    double expected = 0;
    for_each_operation(conn,
                       [&](double replies, const service_time& time) { expected += replies * time.mean; });
    const double waited = real(conn.waited.count());
    return time_of(conn) > 0 ? std::max(1 + (expected - waited) / time_of(conn), 0.0) : 1;
  }

  // How much it may differ from 1 by chance: the variance of what share_of() gives where all are served
  // alike.
  double chance_of(const connection_counts& conn) const {
    if (open_loop_ || time_of(conn) == 0) return 0;
    double variance = 0;
    for_each_operation(
        conn, [&](double replies, const service_time& time) { variance += replies * time.variance; });
    return variance / (time_of(conn) * time_of(conn));
  }

private:
  struct service_time {
    double mean = 0;  // ns
    double variance = 0;
  };

  double time_of(const connection_counts& conn) const { return std::max(time_, real(conn.waited.count())); }

  template <class Act>
  void for_each_operation(const connection_counts& conn, Act&& act) const {
    if (operations_.size() == 1) return act(real(conn.replies), operations_.front());
    for (std::size_t i = 0; i < std::min(operations_.size(), conn.by_operation.size()); ++i) {
      act(real(conn.by_operation[i]), operations_[i]);
    }
  }

  bool open_loop_;
  double time_;  // ns in which a connection could wait for replies, each of its lanes counted
  std::vector<service_time> operations_;
};

// Of the workers of each process, and of its sends.
void judge_ranks(cell& cell) {
  const std::size_t threads = cell.client_times.size() / std::max<std::size_t>(cell.ranks.size(), 1);
  for (std::size_t r = 0; r < cell.ranks.size(); ++r) {
    rank_share& rank = cell.ranks[r];
    evidence of;
    for (std::size_t i = 0; i < threads; ++i) {
      const client_time& time = cell.client_times[r * threads + i];
      rank.client_busy = std::max(rank.client_busy, ratio(time.busy(), time.elapsed));
      of.kept_away = std::max(of.kept_away, ratio(time.kept_away(), time.elapsed));
    }
    of.errors[static_cast<std::size_t>(load_error::reset)] = rank.errors;
    of.replies = of.answered = rank.replies;
    of.open_loop = cell.rate != 0;
    of.client_busy = rank.client_busy;
    of.server_busy = cell.server ? std::optional(cell.server->busy) : std::nullopt;
    if (rank.due > 0) of.on_schedule = real(rank.on_schedule) / real(rank.due);
    rank.verdict = name_of(judge(of).found);
  }
}

}  // namespace

void take_in(cell& cell, target_outcome outcome, const load_spec& load) {
  cell.record.merge(outcome.record);
  cell.opened = outcome.opened;
  cell.ranks = std::move(outcome.ranks);
  if (load.pattern != workload::crr) cell.connecting = outcome.connecting;
  const bool open_loop = cell.rate != 0;
  const even_service judged(cell, outcome.connections, load.pipeline);
  std::vector<double> shares;
  double chance = 0;
  for (std::size_t number = 0; number < outcome.connections.size(); ++number) {
    const connection_counts& conn = outcome.connections[number];
    cell.served += conn.replies > 0;
    if (open_loop) cell.due += conn.due;
    if (conn.longest > cell.longest_wait.time) cell.longest_wait = {number, conn.longest};
    if (conn.due == 0) continue;  // was given nothing to do
    ++cell.given_work;
    const double share = judged.share_of(conn);
    if (shares.empty() || share < cell.slowest.share) cell.slowest = {number, share, conn.replies};
    shares.push_back(share);
    chance += judged.chance_of(conn);
  }
  cell.jain_index = jain_index(shares);
  cell.jain_index_by_chance = 1 / (1 + chance / real(std::max<std::size_t>(shares.size(), 1)));
  // In the open loop a share is of what was due, which a loop with more connections gives, too.
  cell.spread = fairness_within_loops(std::move(shares), open_loop ? 1 : cell.driven.server_loops);
  for (const client_time& time : cell.client_times) {
    cell.client_busy = std::max(cell.client_busy, ratio(time.busy(), time.elapsed));
    cell.client_kept_away = std::max(cell.client_kept_away, ratio(time.kept_away(), time.elapsed));
  }
  judge_ranks(cell);
}

evidence evidence_of(const cell& cell, const load_spec& load, const std::optional<client_ceiling>& ceiling) {
  const auto errors_of = [&](load_error kind) { return cell.record.errors[static_cast<std::size_t>(kind)]; };
  const auto drives = static_cast<std::int64_t>(std::max<std::size_t>(cell.drives, 1));
  return {.errors = cell.record.errors,
          .refused_errno = cell.record.first_errno[static_cast<std::size_t>(load_error::refused)],
          .ports = errors_of(load_error::no_port) > 0 ? std::optional(read_local_ports()) : std::nullopt,
          .replies = cell.requests_total,
          .answered = cell.requests,
          .open_loop = cell.rate != 0,
          .client_busy = cell.client_busy,
          .kept_away = cell.client_kept_away,
          .server_busy = cell.server ? std::optional(cell.server->busy) : std::nullopt,
          .on_schedule = cell.on_schedule(),
          .dropped = cell.record.dropped,
          .backlog = cell.rate != 0 ? std::optional(cell.backlog) : std::nullopt,
          .offered = cell.per_measured_second(cell.backlog.due),
          .throughput = cell.throughput(),
          .service = longest_operation(cell.record),
          .measured_at_a_time = cell.measured / drives,
          .connections = cell.given_work,
          .served = cell.served,
          .spread = cell.spread,
          .jain_index_by_chance = cell.jain_index_by_chance,
          .concurrency = cell.effective_concurrency(),
          .concurrency_asked = concurrency_asked(cell, load),
          .ceiling_share = ceiling && ceiling->throughput > 0 ? cell.throughput() / ceiling->throughput : 0,
          .idle_share = cell.server ? ratio(cell.server->cpu_idle, cell.span) : 0,
          .listen_overflows = cell.system.listen_overflows.value_or(0),
          .retransmissions = cell.system.retransmissions.value_or(0),
          .stolen_share = ratio(cell.system.stolen.value_or(nanoseconds(0)), cell.system_span),
          .beyond_histogram = cell.latency().saturated(),
          .server_remark = cell.checked.remark};
}

}  // namespace echobench
