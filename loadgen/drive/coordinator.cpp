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

// Descriptors beside the connections: standard streams, epoll instances, rings, signals, result files.
constexpr std::size_t spare_descriptors = 32;

// A slice so long is for latency: it has windows, in which events are told apart.
constexpr nanoseconds latency_slice = 1s;
constexpr nanoseconds latency_window = 20ms;

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
  for (const reached_target& each : reached) addresses.push_back(each.address);
  return addresses;
}

// What all workers together did in a drive.
struct drive_totals {
  std::vector<part_counts> parts;  // settling time, windows, drain
  part_counts all;
  clock::time_point stopped;

  explicit drive_totals(const std::vector<drive_counts>& workers) {
    for (const drive_counts& counts : workers) {
      parts.resize(counts.parts.size());
      for (std::size_t i = 0; i < parts.size(); ++i) {
        parts[i] += counts.parts[i];
        all += counts.parts[i];
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
  const auto start = clock::now() + backend_->lead();
  const drive_totals seen(backend_->drive(
      {.target = target, .rate = rate, .start = start, .measure_from = start, .stop = start + length}));
  // Without the drain, or where no reply came before that all of it.
  const bool in_time = seen.parts[1].requests > 0;
  const part_counts& counted = in_time ? seen.parts[1] : seen.all;
  return {.requests = counted.requests,
          .elapsed = in_time ? length : clock::now() - start,
          .service = counted.service};
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
  cell_accounting& own = accounting_[number];
  if (own.server) own.server->begin_measuring();
  own.begun = clock::now();
}

void coordinator::end(std::size_t number) {
  cell_accounting& own = accounting_[number];
  if (own.server) own.server->end_measuring();
  of(number).span = clock::now() - own.begun;
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
  begin_interval(number, clock::now());
  drive.start = clock::now() + backend_->lead();
  drive.measure_from = drive.start + plan.settling;
  drive.stop = drive.start + plan.length;
  if (plan.length >= latency_slice)
    drive.windows = static_cast<std::size_t>((plan.length - plan.settling) / latency_window);
  const auto counts = backend_->drive(drive);
  const nanoseconds driven = clock::now() - drive.start;
  const drive_totals totals(counts);
  add_drive(number, drive, counts);
  slice each{.index = round,
             .requests = 0,
             .elapsed = std::max<nanoseconds>(totals.stopped - drive.measure_from, 0ns),
             .requests_total = totals.all.requests,
             .server_cpu = {},
             .client_cpu = totals.all.cpu};
  for (std::size_t w = 1; w <= drive.windows; ++w) each.requests += totals.parts[w].requests;
  if (server) each.server_cpu = std::max<nanoseconds>(server->end_slice(driven) - cpu, 0ns);
  of(number).slices.push_back(each);
  extend_interval(number, each.elapsed, clock::now());
}

void coordinator::drive_windows(std::size_t number, nanoseconds duration, std::size_t windows,
                                nanoseconds settling) {
  cell& own = of(number);
  auto& server = accounting_[number].server;
  std::vector<nanoseconds> cpu;
  if (server) server->begin_slice();
  drive_plan drive = plan_of(number);
  drive.windows = windows;
  drive.start = clock::now() + backend_->lead();
  drive.measure_from = drive.start + settling;
  drive.stop = drive.measure_from + duration;
  backend_->start(drive);
  auto extended_to = drive.measure_from;
  for (std::size_t w = 0; w <= windows && sleep_until(drive.end_of(w), stop_fd_); ++w) {
    if (server) cpu.push_back(server->within_slice());
    if (w == 0) begin_interval(number, drive.measure_from);
    if (w == windows || !backend_->driving())
      break;  // the last interval is taken without waiting for a worker
    const auto now = clock::now();
    extend_interval(number, now - std::exchange(extended_to, now), now);
  }
  const auto counts = backend_->wait();
  if (server) server->end_slice(clock::now() - drive.start);
  const drive_totals totals(counts);
  add_drive(number, drive, counts);
  extend_interval(number, std::max<nanoseconds>(totals.stopped - extended_to, 0ns), clock::now());
  for (std::size_t w = 0; w < windows; ++w) {
    const auto begin = drive.end_of(w);
    const auto end = std::min(drive.end_of(w + 1), totals.stopped);
    if (end <= begin) break;
    slice& each = own.slices.emplace_back();
    each.index = w;
    each.requests = each.requests_total = totals.parts[w + 1].requests;
    each.elapsed = end - begin;
    each.client_cpu = totals.parts[w + 1].cpu;
    if (w + 1 < cpu.size()) each.server_cpu = std::max<nanoseconds>(cpu[w + 1] - cpu[w], 0ns);
  }
}

void coordinator::begin_interval(std::size_t number, clock::time_point at) {
  auto& begun = accounting_[number].interval_begun;
  if (!begun) begun = at;
}

void coordinator::extend_interval(std::size_t number, nanoseconds driven, clock::time_point now) {
  cell_accounting& its = accounting_[number];
  its.interval_driven += driven;
  if (!intervals_.wanted() || !its.interval_begun || now - *its.interval_begun < asked_.interval) return;
  if (!backend_->take_record(its.target, taken_)) return;
  tell_interval(number, taken_, now);
  of(number).record.merge(taken_);
  taken_.clear();
}

void coordinator::tell_interval(std::size_t number, const target_record& recorded, clock::time_point now) {
  const auto begun = std::exchange(accounting_[number].interval_begun, now);
  const auto driven = std::exchange(accounting_[number].interval_driven, 0ns);
  const interval seen(number, *begun - origin_, now - *begun, driven, recorded);
  if (seen.requests == 0 && seen.errors == 0) return;
  result_.intervals.push_back(seen);
  intervals_.write(seen, of(number));
  progress_.show([&] { return interval_text(seen, of(number), now - origin_); });
}

void coordinator::add_drive(std::size_t number, const drive_plan& plan,
                            const std::vector<drive_counts>& workers) {
  cell& own = of(number);
  const drive_totals totals(workers);
  ++own.drives;
  own.requests_total += totals.all.requests;
  own.client_cpu += totals.all.cpu;
  own.client_waiting += totals.all.waiting;
  own.client_polling += totals.all.polling;
  own.client_blocked += totals.all.blocked;
  own.elapsed += std::max<nanoseconds>(totals.stopped - plan.measure_from, 0ns);
  for (std::size_t w = 1; w <= plan.windows; ++w) {
    own.requests += totals.parts[w].requests;
    own.bytes_out += totals.parts[w].bytes_out;
    own.bytes_in += totals.parts[w].bytes_in;
    own.slowest_of_windows.push_back(totals.parts[w].slowest);
  }
  for (std::size_t i = 0; i < workers.size(); ++i) {
    client_time& time = own.client_times[i];
    time.elapsed += std::max<nanoseconds>(workers[i].stopped - plan.measure_from, 0ns);
    for (std::size_t w = 1; w <= plan.windows; ++w) time += workers[i].parts[w];
  }
}

void coordinator::conclude(std::size_t number) {
  cell& own = of(number);
  cell_accounting& its = accounting_[number];
  if (its.server) own.server = its.server->use();
  target_outcome found = backend_->take_outcome(its.target);
  if (its.interval_begun && intervals_.wanted()) tell_interval(number, found.record, clock::now());
  take_in(own, std::move(found), load_);
  own.judged = judge(evidence_of(own, load_, result_.ceiling));
}

void coordinator::forget_counters() {
  counters_ = read_system_counters();
  counters_read_ = clock::now();
}

void coordinator::forget_undriven() {
  std::vector<std::size_t> numbers;  // of each cell, when the others are gone
  std::vector<cell> driven;
  for (cell& each : result_.cells) {
    numbers.push_back(driven.size());
    if (each.drives > 0) driven.push_back(std::move(each));
  }
  result_.cells = std::move(driven);
  for (interval& each : result_.intervals) each.cell = numbers[each.cell];
}

measurement coordinator::finish() {
  result_.interrupted = stopped();
  result_.finished = std::chrono::system_clock::now();
  result_.intervals_missing = intervals_.finish();
  return std::move(result_);
}

}  // namespace echobench
