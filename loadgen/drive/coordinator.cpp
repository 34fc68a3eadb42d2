#include "loadgen/drive/coordinator.hpp"

#include "common/process.hpp"
#include "loadgen/drive/evidence.hpp"
#include "loadgen/drive/local_workers.hpp"
#include "loadgen/drive/resolved_load.hpp"
#include "loadgen/drive/stop_signals.hpp"
#include "loadgen/report/text_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Descriptors in addition to the connections: standard streams, epoll instances, rings, signals, result
// files.
constexpr std::size_t spare_descriptors = 32;

// A slice so long is for latency: it has windows, in which events are distinguished.
constexpr nanoseconds latency_slice = 1s;
constexpr nanoseconds latency_window = 20ms;
// Between two readings of a server's CPU time while it is driven.
constexpr nanoseconds reading_interval = 1s;

void require_descriptors(const options& asked, std::size_t processes) {
  const std::uint64_t connections = (asked.all_connections() + processes - 1) / processes;
  const std::uint64_t needed = connections * asked.targets.size() + asked.threads + spare_descriptors;
  const std::uint64_t limit = raise_descriptor_limit();
  if (needed <= limit) return;
  const bool idle = asked.load.idle_connections > 0;
  const std::string options = idle ? fmt::format("--connections {} and --idle-connections {}",
                                                 asked.load.connections, asked.load.idle_connections)
                                   : fmt::format("--connections {}", asked.load.connections);
  throw std::invalid_argument(fmt::format(
      "{} to {} target(s) need {} descriptors, the limit of a process here is {}: lower {}, divide "
      "them over more processes (mpirun -n {} echo-load-mpi), or raise the hard limit (ulimit -Hn, or "
      "LimitNOFILE=)",
      options, asked.targets.size(), needed, limit, idle ? "--idle-connections" : "--connections",
      processes * (needed / limit + 1)));
}

std::vector<endpoint> addresses_of(const std::vector<reached_target>& reached) {
  std::vector<endpoint> addresses;
  for (const reached_target& target : reached) addresses.push_back(target.address);
  return addresses;
}

// What all workers together did in a drive.
struct drive_totals {
  std::vector<part_counts> parts;  // settling time, windows, drain
  part_counts all;
  part_counts measured;  // the windows
  clock::time_point stopped;

  explicit drive_totals(const std::vector<drive_counts>& workers) {
    for (const drive_counts& counts : workers) {
      parts.resize(counts.parts.size());
      for (std::size_t i = 0; i < parts.size(); ++i) {
        parts[i] += counts.parts[i];
        all += counts.parts[i];
        if (i > 0 && i + 1 < parts.size()) measured += counts.parts[i];
      }
      stopped = std::max(stopped, counts.stopped);
    }
  }
};

}  // namespace

coordinator::coordinator(const options& asked, std::vector<reached_target> reached,
                         std::optional<client_ceiling> ceiling, const backend_maker& make_backend,
                         std::size_t processes)
    : asked_(asked),
      reached_(std::move(reached)),
      io_(choose_engine(asked)),
      load_(resolved_load(asked, io_.chosen, addresses_of(reached_), processes)),
      stop_fd_(open_stop_signals()),
      pool_(asked.seed, asked.load.messages.largest_payload()),
      messages_(load_.messages, pool_),
      origin_(clock::now()),
      intervals_(asked.interval_file, !asked.hdr_file.empty()) {
  result_.started = std::chrono::system_clock::now();
  result_.ceiling = ceiling;
  result_.io = io_;
  require_descriptors(asked, processes);
  for (std::size_t t = 0; t < targets(); ++t) {
    const auto pid = asked.targets[t].server_pid;
    servers_.push_back(pid ? std::optional<server_accounting>(*pid) : std::nullopt);
    checks_.push_back(pid ? check_server(*pid, reached_[t].address) : server_check());
  }
  forget_counters();
  const backend_setup setup{load_, messages_, stop_fd_.get(), asked.threads, origin_};
  backend_ = make_backend ? make_backend(setup) : make_local_workers(setup);
}

bool coordinator::goes_on() const {
  for (std::size_t t = 0; t < targets(); ++t) {
    if (is_live(t)) return !stopped();
  }
  return false;
}

void coordinator::connect() {
  progress_.show([&] { return fmt::format("connecting {} x {}", asked_.all_connections(), targets()); });
  backend_->connect();
}

warmup_seen coordinator::warm_up(std::size_t target, std::uint64_t rate, nanoseconds length) {
  if (!is_live(target) || stopped() || length == 0ns) return {};
  progress_.show([&] { return "warming up " + asked_.targets[target].label(); });
  drive_plan plan{.target = target, .rate = rate, .start = clock::now() + backend_->lead()};
  plan.measure_from = plan.start + length / 4;  // when the first queues have built
  plan.stop = plan.start + length;
  const drive_totals totals(backend_->drive(plan));
  if (totals.all.requests == 0) return {};
  return {.requests = totals.measured.served,
          .elapsed = plan.measured_until(totals.stopped),
          .service = totals.all.service / static_cast<std::int64_t>(totals.all.requests)};
}

std::size_t coordinator::add_cell(std::size_t target, std::uint64_t rate) {
  cell& made = result_.cells.emplace_back();
  made.driven = asked_.targets[target];
  made.reached = reached_[target];
  made.checked = checks_[target];
  made.rate = rate;
  made.client_times.resize(backend_->workers());
  accounting_.push_back(
      {.target = target, .rate = rate, .server = servers_[target], .begun = {}, .interval_begun = {}});
  return result_.cells.size() - 1;
}

void coordinator::begin(std::size_t number) {
  cell_accounting& accounting = accounting_[number];
  if (accounting.server) accounting.server->begin_measuring();
  accounting.begun = clock::now();
}

void coordinator::end(std::size_t number) {
  cell_accounting& accounting = accounting_[number];
  if (accounting.server) accounting.server->end_measuring();
  of(number).span = clock::now() - accounting.begun;
  const auto counters = read_system_counters();
  of(number).system = counters.since(counters_);
  of(number).system_span = clock::now() - counters_read_;
}

drive_plan coordinator::plan_of(std::size_t number) const {
  return {.target = accounting_[number].target, .rate = accounting_[number].rate, .recorded = true};
}

void coordinator::drive_slice(std::size_t number, std::size_t round, const slice_plan& plan) {
  auto& server = accounting_[number].server;
  const nanoseconds cpu = server ? server->begin_slice() : 0ns;
  drive_plan drive = plan_of(number);
  drive.start = clock::now() + backend_->lead();
  drive.measure_from = drive.start + plan.settling;
  drive.stop = drive.start + plan.length;
  if (plan.length >= latency_slice)
    drive.windows = static_cast<std::size_t>((plan.length - plan.settling) / latency_window);
  backend_->start(drive);
  watch(number, drive, {});
  const auto counts = backend_->wait();
  slice& made = of(number).slices.emplace_back();
  if (server)
    made.server_cpu = std::max<nanoseconds>(server->end_slice(clock::now() - drive.start) - cpu, 0ns);
  end_drive(number, drive, counts);
  const drive_totals totals(counts);
  made.index = round;
  made.served = totals.measured.served;
  made.answered = totals.measured.answered;
  made.elapsed = drive.measured_until(totals.stopped);
  made.requests_total = totals.all.requests;
  made.client_cpu = totals.all.cpu;
}

std::size_t coordinator::drive_windows(std::size_t number, nanoseconds duration, std::size_t windows,
                                       nanoseconds settling) {
  auto& server = accounting_[number].server;
  if (server) server->begin_slice();
  drive_plan drive = plan_of(number);
  drive.windows = windows;
  drive.start = clock::now() + backend_->lead();
  drive.measure_from = drive.start + settling;
  drive.stop = drive.measure_from + duration;
  // To read a server's CPU time costs a system call for each of its processes, on a CPU that a client thread
  // may be using: windows whose CPU time is to be known are put together.
  const auto slices =
      server ? std::clamp<std::size_t>(static_cast<std::size_t>(duration / reading_interval), 1, windows)
             : windows;
  const auto first_window_of = [&](std::size_t slice) { return slice * windows / slices; };
  std::vector<clock::time_point> readings;
  for (std::size_t s = 0; server && s <= slices; ++s) readings.push_back(drive.end_of(first_window_of(s)));
  backend_->start(drive);
  const auto cpu = watch(number, drive, readings);
  const auto counts = backend_->wait();
  if (server) server->end_slice(clock::now() - drive.start);
  end_drive(number, drive, counts);
  const drive_totals totals(counts);
  for (std::size_t s = 0; s < slices; ++s) {
    const auto begin = drive.end_of(first_window_of(s));
    const auto end = std::min(drive.end_of(first_window_of(s + 1)), totals.stopped);
    if (end <= begin) break;
    part_counts sum;
    for (auto w = first_window_of(s); w < first_window_of(s + 1); ++w) sum += totals.parts[w + 1];
    slice& made = of(number).slices.emplace_back();
    made.index = s;
    made.requests_total = sum.requests;
    made.served = sum.served;
    made.answered = sum.answered;
    made.elapsed = end - begin;
    made.client_cpu = sum.cpu;
    if (s + 1 < cpu.size()) made.server_cpu = std::max<nanoseconds>(cpu[s + 1] - cpu[s], 0ns);
  }
  return slices;
}

std::vector<nanoseconds> coordinator::watch(std::size_t number, const drive_plan& drive,
                                            const std::vector<clock::time_point>& readings) {
  constexpr auto never = clock::time_point::max();
  cell_accounting& accounting = accounting_[number];
  if (!accounting.interval_begun) accounting.interval_begun = drive.measure_from;
  accounting.driven_to = drive.measure_from;
  auto interval_end = intervals_.wanted() ? *accounting.interval_begun + asked_.interval : never;
  std::vector<nanoseconds> cpu;
  for (;;) {
    const auto reading = cpu.size() < readings.size() ? readings[cpu.size()] : never;
    const auto next = std::min(reading, interval_end);
    if (next > drive.stop || !sleep_until(next, stop_fd_)) break;
    if (next == reading) cpu.push_back(accounting.server->within_slice());
    if (!backend_->driving()) break;  // the interval is taken without waiting for a worker
    if (next != interval_end) continue;
    extend_interval(number, drive, clock::now());
    interval_end = std::max(*accounting.interval_begun, next) + asked_.interval;
  }
  return cpu;
}

void coordinator::end_drive(std::size_t number, const drive_plan& drive,
                            const std::vector<drive_counts>& workers) {
  add_drive(number, drive, workers);
  extend_interval(number, drive, clock::now());
}

// Takes the interval if it has ended.
void coordinator::extend_interval(std::size_t number, const drive_plan& drive, clock::time_point now) {
  cell_accounting& accounting = accounting_[number];
  const auto driven_to = std::clamp(now, accounting.driven_to, drive.stop);
  accounting.interval_driven += driven_to - std::exchange(accounting.driven_to, driven_to);
  if (!intervals_.wanted() || now - *accounting.interval_begun < asked_.interval) return;
  if (!backend_->take_record(accounting.target, taken_)) return;
  report_interval(number, taken_, now);
  of(number).record.merge(taken_);
  taken_.clear();
}

void coordinator::report_interval(std::size_t number, const target_record& recorded, clock::time_point now) {
  const auto begun = std::exchange(accounting_[number].interval_begun, now);
  const auto driven = std::exchange(accounting_[number].interval_driven, 0ns);
  const interval ended(number, *begun - origin_, now - *begun, driven, recorded);
  if (driven == 0ns && ended.requests == 0 && ended.errors == 0) return;
  intervals_.write(ended, of(number));
  if (ended.requests > 0 || ended.errors > 0) result_.intervals.push_back(ended);
  progress_.show([&] { return interval_text(ended, of(number), now - origin_); });
}

void coordinator::add_drive(std::size_t number, const drive_plan& plan,
                            const std::vector<drive_counts>& workers) {
  cell& cell = of(number);
  const drive_totals totals(workers);
  const nanoseconds measured = plan.measured_until(totals.stopped);
  ++cell.drives;
  cell.requests_total += totals.all.requests;
  cell.driven_for += totals.stopped - plan.start;
  cell.measured += measured;
  cell.in_flight += totals.measured.in_flight;
  if (plan.open_loop()) {
    const auto windows = std::min(plan.part_at(totals.stopped), plan.windows);
    cell.backlog += growth_of_backlog({totals.parts.data(), windows + 1}, totals.parts.back(), measured,
                                      load_.pace.on_off.on + load_.pace.on_off.off);
  }
  cell.bytes_out += totals.measured.bytes_out;
  cell.bytes_in += totals.measured.bytes_in;
  cell.client_cpu += totals.all.cpu;
  cell.client_polling += totals.all.polling;
  cell.client_blocked += totals.all.blocked;
  add_known(cell.client_waiting, totals.all.waiting);
  for (std::size_t w = 1; w <= plan.windows; ++w) cell.slowest_of_windows.push_back(totals.parts[w].slowest);
  for (std::size_t i = 0; i < workers.size(); ++i) {
    client_time& time = cell.client_times[i];
    time.elapsed += plan.measured_until(workers[i].stopped);
    for (std::size_t w = 1; w <= plan.windows; ++w) time += workers[i].parts[w];
  }
}

void coordinator::conclude(std::size_t number) {
  cell& measured = of(number);
  cell_accounting& accounting = accounting_[number];
  if (accounting.server) measured.server = accounting.server->use();
  target_outcome outcome = backend_->take_outcome(accounting.target);
  if (accounting.interval_begun && intervals_.wanted()) report_interval(number, outcome.record, clock::now());
  take_in(measured, std::move(outcome), load_);
  count_requests(measured);
  measured.judged = judge(evidence_of(measured, load_, result_.ceiling));
}

void coordinator::forget_counters() {
  counters_ = read_system_counters();
  counters_read_ = clock::now();
}

void coordinator::forget_undriven() {
  std::vector<std::size_t> numbers;  // of each cell, when the others are gone
  std::vector<cell> driven;
  for (cell& measured : result_.cells) {
    numbers.push_back(driven.size());
    if (measured.drives > 0) driven.push_back(std::move(measured));
  }
  result_.cells = std::move(driven);
  for (interval& part : result_.intervals) part.cell = numbers[part.cell];
}

measurement coordinator::finish() {
  result_.interrupted = stopped();
  result_.finished = std::chrono::system_clock::now();
  result_.intervals_missing = intervals_.finish();
  return std::move(result_);
}

}  // namespace echobench
