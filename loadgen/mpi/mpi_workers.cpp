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

void start_drive(local_workers& own, const drive_plan& plan) {
  std::this_thread::sleep_until(plan.start);
  own.start(plan);
}

status status_of(const local_workers& own, std::size_t targets) {
  status found{.live = {}, .stop_requested = own.stop_requested()};
  for (std::size_t t = 0; t < targets; ++t) found.live[t] = own.live(t);
  return found;
}

// Workers' counts as a row of plain data: when each stopped, since the start, then its parts.
struct worker_row {
  std::int64_t stopped_ns;
};

std::vector<drive_counts> gather_counts(const ranks& all, const std::vector<drive_counts>& own,
                                        const drive_plan& plan) {
  std::vector<part_counts> parts;
  std::vector<worker_row> rows;
  for (const drive_counts& each : own) {
    parts.insert(parts.end(), each.parts.begin(), each.parts.end());
    rows.push_back({nanoseconds(each.stopped - plan.start).count()});
  }
  const auto all_parts = all.gather(std::span<const part_counts>(parts));
  const auto all_rows = all.gather(std::span<const worker_row>(rows));
  std::vector<drive_counts> found;
  const std::size_t each = plan.windows + 2;
  for (std::size_t i = 0; i < all_rows.size(); ++i) {
    const auto first = all_parts.begin() + static_cast<std::ptrdiff_t>(i * each);
    found.push_back({.parts = {first, first + static_cast<std::ptrdiff_t>(each)},
                     .stopped = plan.start + nanoseconds(all_rows[i].stopped_ns)});
  }
  return found;
}

// Merges a record of all ranks at rank 0.
void merge(const ranks& all, target_record& own) {
  for (histogram* each : {&own.service, &own.response, &own.send_delay, &own.connect}) all.merge(*each);
  for (histogram& each : own.by_operation) all.merge(each);
  if (own.kernel) {
    kernel_times& kernel = *own.kernel;
    for (histogram* each :
         {&kernel.sending, &kernel.outside, &kernel.receiving, &kernel.client, &kernel.handshake}) {
      all.merge(*each);
    }
  }
  std::array counts{own.on_schedule, own.waiting_for_pipeline, own.dropped};
  all.sum(counts);
  std::tie(own.on_schedule, own.waiting_for_pipeline, own.dropped) =
      std::tie(counts[0], counts[1], counts[2]);
  all.sum(own.errors);
  for (const auto& each : all.gather(own.first_errno)) {
    for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
      if (own.first_errno[kind] == 0) own.first_errno[kind] = each[kind];
    }
  }
  struct told {
    std::array<fault, faults_told> faults{};
    std::size_t count = 0;
  };
  told ours;
  ours.count = std::min(own.faults.size(), faults_told);
  std::copy_n(own.faults.begin(), ours.count, ours.faults.begin());
  target_record others;
  for (const told& each : all.gather(ours)) {
    others.faults.insert(others.faults.end(), each.faults.begin(),
                         each.faults.begin() + static_cast<std::ptrdiff_t>(each.count));
  }
  own.faults.clear();
  own.merge(others);  // in order, no more than are told
}

// Each rank knows its own connections; the others are zero.
void merge(const ranks& all, std::vector<connection_counts>& own) {
  std::vector<std::uint64_t> sums;
  std::vector<std::uint64_t> longest;
  for (const connection_counts& each : own) {
    sums.insert(sums.end(), {std::uint64_t{each.opened}, each.due, each.replies});
    longest.push_back(static_cast<std::uint64_t>(each.longest.count()));
  }
  all.sum(sums);
  all.greatest(longest);
  for (std::size_t i = 0; i < own.size(); ++i) {
    own[i] = {.opened = sums[3 * i] > 0,
              .due = sums[3 * i + 1],
              .replies = sums[3 * i + 2],
              .longest = nanoseconds(static_cast<std::int64_t>(longest[i]))};
  }
}

struct plain_share {
  ranks::name host;
  std::uint64_t replies;
  std::uint64_t errors;
  std::uint64_t due;
  std::uint64_t on_schedule;
};

std::vector<rank_share> gather_shares(const ranks& all, const target_outcome& own,
                                      const std::vector<ranks::clock_difference>& clocks) {
  plain_share ours{
      .host = all.host(),
      .replies = 0,
      .errors = std::accumulate(own.record.errors.begin(), own.record.errors.end(), std::uint64_t{0}),
      .due = own.record.send_delay.count(),
      .on_schedule = own.record.on_schedule};
  for (const connection_counts& each : own.connections) ours.replies += each.replies;
  std::vector<rank_share> found;
  for (const plain_share& each : all.gather(ours)) {
    const auto& its = clocks[found.size()];
    found.push_back({.rank = static_cast<int>(found.size()),
                     .host = each.host.text,
                     .replies = each.replies,
                     .errors = each.errors,
                     .due = each.due,
                     .on_schedule = each.on_schedule,
                     .clock_ahead = nanoseconds(its.ahead_ns),
                     .clock_error = nanoseconds(its.error_ns),
                     .client_busy = 0,
                     .verdict = {}});
  }
  return found;
}

target_outcome merged_outcome(const ranks& all, target_outcome own,
                              const std::vector<ranks::clock_difference>& clocks) {
  own.ranks = gather_shares(all, own, clocks);
  merge(all, own.record);
  merge(all, own.connections);
  std::array opened{std::uint64_t{own.opened}};
  std::array connecting{static_cast<std::uint64_t>(own.connecting.count())};
  all.sum(opened);
  all.greatest(connecting);
  own.opened = opened[0];
  own.connecting = nanoseconds(static_cast<std::int64_t>(connecting[0]));
  return own;
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
  auto found = gather_counts(all_, local_->wait(), plan_);
  take_status();
  return found;
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
  for (const status& each : all_.gather(status_of(*local_, targets_))) {
    for (std::size_t t = 0; t < targets_; ++t) live_[t] += each.live[t];
    stop_requested_ = stop_requested_ || each.stop_requested;
  }
}

void mpi_workers::follow(const ranks& all, const backend_setup& setup) {
  const auto own = make_local_workers(setup, all.rank(), all.count());
  const auto tell_status = [&] { all.gather(status_of(*own, setup.load.targets.size())); };
  tell_status();
  for (job next;;) {
    all.broadcast(next);
    switch (next.what) {
      case job::kind::connect: own->connect(); break;
      case job::kind::drive: {
        const drive_plan plan = plan_of(next);
        start_drive(*own, plan);
        gather_counts(all, own->wait(), plan);
        break;
      }
      case job::kind::settle: own->settle(); break;
      case job::kind::outcome: merged_outcome(all, own->take_outcome(next.target), {}); continue;
      case job::kind::end: return;
    }
    tell_status();
  }
}

}  // namespace echobench
