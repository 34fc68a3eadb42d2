#include "loadgen/mpi/mpi_workers.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <thread>
#include <tuple>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// What a rank is to do: sent as it is.
struct job {
  enum class kind : std::uint8_t { connect, drive, settle, outcome, end };

  kind what = kind::end;
  bool recorded = false;
  std::size_t target = 0;
  std::uint64_t rate = 0;
  std::size_t windows = 1;
  std::int64_t start_ns = 0;  // time of day
  std::int64_t settling_ns = 0;
  std::int64_t length_ns = 0;  // after the settling time
};

// What a rank has become, after each job.
struct status {
  std::array<std::uint64_t, mpi_workers::most_targets> live{};
  bool stop_requested = false;
};

nanoseconds time_of_day() { return std::chrono::system_clock::now().time_since_epoch(); }

// In the time of day, which the ranks' hosts share.
job drive_job(const drive_plan& plan) {
  return {.what = job::kind::drive,
          .recorded = plan.recorded,
          .target = plan.target,
          .rate = plan.rate,
          .windows = plan.windows,
          .start_ns = (time_of_day() + (plan.start - clock::now())).count(),
          .settling_ns = nanoseconds(plan.measure_from - plan.start).count(),
          .length_ns = nanoseconds(plan.stop - plan.measure_from).count()};
}

drive_plan plan_of(const job& asked) {
  drive_plan plan{.target = asked.target,
                  .rate = asked.rate,
                  .start = clock::now() + (nanoseconds(asked.start_ns) - time_of_day()),
                  .windows = asked.windows,
                  .recorded = asked.recorded};
  plan.measure_from = plan.start + nanoseconds(asked.settling_ns);
  plan.stop = plan.measure_from + nanoseconds(asked.length_ns);
  return plan;
}

void start_drive(local_workers& local, const drive_plan& plan) {
  std::this_thread::sleep_until(plan.start);
  local.start(plan);
}

status status_of(const local_workers& local, std::size_t targets) {
  status local_status{.live = {}, .stop_requested = local.stop_requested()};
  for (std::size_t t = 0; t < targets; ++t) local_status.live[t] = local.live(t);
  return local_status;
}

// Workers' counts as a row of plain data: when each stopped, since the start, then its parts.
struct worker_row {
  std::int64_t stopped_ns;
};

std::vector<drive_counts> gather_counts(const ranks& all, const std::vector<drive_counts>& local,
                                        const drive_plan& plan) {
  std::vector<part_counts> parts;
  std::vector<worker_row> rows;
  for (const drive_counts& counts : local) {
    parts.insert(parts.end(), counts.parts.begin(), counts.parts.end());
    rows.push_back({nanoseconds(counts.stopped - plan.start).count()});
  }
  const auto all_parts = all.gather(std::span<const part_counts>(parts));
  const auto all_rows = all.gather(std::span<const worker_row>(rows));
  std::vector<drive_counts> workers;
  const std::size_t parts_of_each = plan.windows + 2;
  for (std::size_t i = 0; i < all_rows.size(); ++i) {
    const auto first = all_parts.begin() + static_cast<std::ptrdiff_t>(i * parts_of_each);
    workers.push_back({.parts = {first, first + static_cast<std::ptrdiff_t>(parts_of_each)},
                       .stopped = plan.start + nanoseconds(all_rows[i].stopped_ns)});
  }
  return workers;
}

// Merges a record of all ranks at rank 0.
void merge(const ranks& all, target_record& record) {
  for (histogram* times : {&record.service, &record.response, &record.send_delay, &record.connect})
    all.merge(*times);
  for (histogram& times : record.by_operation) all.merge(times);
  if (record.kernel) {
    kernel_times& kernel = *record.kernel;
    for (histogram* times :
         {&kernel.sending, &kernel.outside, &kernel.receiving, &kernel.client, &kernel.handshake}) {
      all.merge(*times);
    }
  }
  for (arrival_gaps* gaps : {&record.due_gaps, &record.sent_gaps}) {
    arrival_gaps all_gaps;
    for (const arrival_gaps& part : all.gather(*gaps)) all_gaps.merge(part);
    *gaps = all_gaps;
  }
  std::array counts{record.on_schedule, record.waiting_for_pipeline, record.dropped};
  all.sum(counts);
  std::tie(record.on_schedule, record.waiting_for_pipeline, record.dropped) =
      std::tie(counts[0], counts[1], counts[2]);
  all.sum(record.errors);
  for (const auto& first_errno : all.gather(record.first_errno)) {
    for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
      if (record.first_errno[kind] == 0) record.first_errno[kind] = first_errno[kind];
    }
  }
  struct plain_faults {
    std::array<fault, faults_kept> faults{};
    std::size_t count = 0;
  };
  plain_faults first_faults;
  first_faults.count = std::min(record.faults.size(), faults_kept);
  std::copy_n(record.faults.begin(), first_faults.count, first_faults.faults.begin());
  target_record others;
  for (const plain_faults& rank : all.gather(first_faults)) {
    others.faults.insert(others.faults.end(), rank.faults.begin(),
                         rank.faults.begin() + static_cast<std::ptrdiff_t>(rank.count));
  }
  record.faults.clear();
  record.merge(others);  // in order, no more than are kept
}

// Each rank knows its own connections; the others are zero.
void merge(const ranks& all, std::vector<connection_counts>& connections) {
  std::array operations{std::uint64_t{0}};  // of the mix, if any replies came
  for (const connection_counts& conn : connections)
    operations[0] = std::max(operations[0], conn.by_operation.size());
  all.greatest(operations);
  all.broadcast(operations);
  constexpr std::size_t fixed = 4;
  const std::size_t width = fixed + operations[0];
  std::vector<std::uint64_t> sums;
  std::vector<std::uint64_t> longest;
  for (const connection_counts& conn : connections) {
    sums.insert(sums.end(), {std::uint64_t{conn.opened}, conn.due, conn.replies,
                             static_cast<std::uint64_t>(conn.waited.count())});
    sums.insert(sums.end(), conn.by_operation.begin(), conn.by_operation.end());
    sums.resize(sums.size() + operations[0] - conn.by_operation.size());
    longest.push_back(static_cast<std::uint64_t>(conn.longest.count()));
  }
  all.sum(sums);
  all.greatest(longest);
  for (std::size_t i = 0; i < connections.size(); ++i) {
    const auto row = sums.begin() + static_cast<std::ptrdiff_t>(i * width);
    connections[i] = {.opened = row[0] > 0,
                      .due = row[1],
                      .replies = row[2],
                      .longest = nanoseconds(static_cast<std::int64_t>(longest[i])),
                      .waited = nanoseconds(static_cast<std::int64_t>(row[3])),
                      .by_operation = {row + fixed, row + static_cast<std::ptrdiff_t>(width)}};
  }
}

struct plain_share {
  ranks::name host;
  std::uint64_t replies;
  std::uint64_t errors;
  std::uint64_t due;
  std::uint64_t on_schedule;
};

std::vector<rank_share> gather_shares(const ranks& all, const target_outcome& local,
                                      const std::vector<ranks::clock_difference>& clocks) {
  plain_share plain{
      .host = all.host(),
      .replies = 0,
      .errors = std::accumulate(local.record.errors.begin(), local.record.errors.end(), std::uint64_t{0}),
      .due = local.record.send_delay.count(),
      .on_schedule = local.record.on_schedule};
  for (const connection_counts& counts : local.connections) plain.replies += counts.replies;
  std::vector<rank_share> shares;
  for (const plain_share& rank : all.gather(plain)) {
    const auto& difference = clocks[shares.size()];
    shares.push_back({.rank = static_cast<int>(shares.size()),
                      .host = rank.host.text,
                      .replies = rank.replies,
                      .errors = rank.errors,
                      .due = rank.due,
                      .on_schedule = rank.on_schedule,
                      .clock_ahead = nanoseconds(difference.ahead_ns),
                      .clock_error = nanoseconds(difference.error_ns),
                      .client_busy = 0,
                      .verdict = {}});
  }
  return shares;
}

target_outcome merged_outcome(const ranks& all, target_outcome outcome,
                              const std::vector<ranks::clock_difference>& clocks) {
  outcome.ranks = gather_shares(all, outcome, clocks);
  merge(all, outcome.record);
  merge(all, outcome.connections);
  std::array opened{std::uint64_t{outcome.opened}};
  std::array connecting{static_cast<std::uint64_t>(outcome.connecting.count())};
  all.sum(opened);
  all.greatest(connecting);
  outcome.opened = opened[0];
  outcome.connecting = nanoseconds(static_cast<std::int64_t>(connecting[0]));
  return outcome;
}

}  // namespace

mpi_workers::mpi_workers(const ranks& all, const backend_setup& setup,
                         std::vector<ranks::clock_difference> clocks)
    : all_(all),
      threads_(setup.threads),
      targets_(setup.load.targets.size()),
      clocks_(std::move(clocks)),
      local_(make_local_workers(setup, all.rank(), all.count())),
      live_(targets_) {
  take_status();
}

mpi_workers::~mpi_workers() {
  if (std::uncaught_exceptions() > exceptions_) return;
  job next{.what = job::kind::end};
  all_.broadcast(next);
}

void mpi_workers::connect() {
  job next{.what = job::kind::connect};
  all_.broadcast(next);
  local_->connect();
  take_status();
}

void mpi_workers::start(const drive_plan& plan) {
  plan_ = plan;
  job next = drive_job(plan);
  all_.broadcast(next);
  start_drive(*local_, plan);
}

std::vector<drive_counts> mpi_workers::wait() {
  auto counts = gather_counts(all_, local_->wait(), plan_);
  take_status();
  return counts;
}

void mpi_workers::settle() {
  job next{.what = job::kind::settle};
  all_.broadcast(next);
  local_->settle();
  take_status();
}

target_outcome mpi_workers::take_outcome(std::size_t target) {
  job next{.what = job::kind::outcome, .target = target};
  all_.broadcast(next);
  return merged_outcome(all_, local_->take_outcome(target), clocks_);
}

void mpi_workers::take_status() {
  std::ranges::fill(live_, 0U);
  for (const status& rank : all_.gather(status_of(*local_, targets_))) {
    for (std::size_t t = 0; t < targets_; ++t) live_[t] += rank.live[t];
    stop_requested_ = stop_requested_ || rank.stop_requested;
  }
}

void mpi_workers::follow(const ranks& all, const backend_setup& setup) {
  const auto local = make_local_workers(setup, all.rank(), all.count());
  const auto send_status = [&] { all.gather(status_of(*local, setup.load.targets.size())); };
  send_status();
  for (job next;;) {
    all.broadcast(next);
    switch (next.what) {
      case job::kind::connect: local->connect(); break;
      case job::kind::drive: {
        const drive_plan plan = plan_of(next);
        start_drive(*local, plan);
        gather_counts(all, local->wait(), plan);
        break;
      }
      case job::kind::settle: local->settle(); break;
      case job::kind::outcome: merged_outcome(all, local->take_outcome(next.target), {}); continue;
      case job::kind::end: return;
    }
    send_status();
  }
}

}  // namespace echobench
