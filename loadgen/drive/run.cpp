#include "loadgen/drive/run.hpp"

#include "common/cpu.hpp"
#include "common/process.hpp"
#include "common/timespec.hpp"
#include "common/units.hpp"
#include "loadgen/drive/team.hpp"
#include "loadgen/plan/slice_plan.hpp"
#include "loadgen/probe/server_account.hpp"
#include "loadgen/report/progress_line.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// Accounting windows of a run against a single target: longer runs have longer windows, not larger results.
constexpr std::int64_t most_windows = 1000;

// Descriptors beside the connections: standard streams, epoll instances, signals, result files.
constexpr std::size_t spare_descriptors = 32;

void require_descriptors(const options& asked) {
  const std::uint64_t needed =
      asked.all_connections() * asked.targets.size() + asked.threads + spare_descriptors;
  const std::uint64_t limit = raise_descriptor_limit();
  if (needed <= limit) return;
  const bool idle = asked.load.idle_connections > 0;
  const std::string options = idle ? fmt::format("--connections {} and --idle-connections {}",
                                                 asked.load.connections, asked.load.idle_connections)
                                   : fmt::format("--connections {}", asked.load.connections);
  throw std::invalid_argument(fmt::format(
      "{} to {} target(s) need {} descriptors, the limit of a process here is {}: lower {}, or raise the "
      "hard "
      "limit (ulimit -Hn, or LimitNOFILE=)",
      options, asked.targets.size(), needed, limit, idle ? "--idle-connections" : "--connections"));
}

unique_fd open_stop_signals() {
  const sigset_t stop = block_stop_signals();
  unique_fd fd(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw std::system_error(errno, std::system_category(), "signalfd");
  return fd;
}

// Sleeps until then; false when the user wants the run to end.
bool sleep_until(clock::time_point then, int stop_fd) {
  pollfd stop{.fd = stop_fd, .events = POLLIN, .revents = 0};
  const auto timeout = to_timespec(then - clock::now());
  return ::ppoll(&stop, 1, &timeout, nullptr) <= 0;
}

double ratio(nanoseconds part, nanoseconds whole) {
  return whole.count() > 0 ? static_cast<double>(part.count()) / static_cast<double>(whole.count()) : 0;
}

// What all workers together did in a drive.
struct drive_totals {
  std::vector<part_counts> parts;  // guard, windows, drain
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

// By itself it takes io_uring where there is one.
engine_choice choose_engine(std::optional<engine> asked) {
  if (asked == engine::epoll) return {engine::epoll, "asked for"};
  const std::string why_not = io_uring_unavailable_reason();
  if (asked && !why_not.empty()) throw std::invalid_argument("--engine io-uring: " + why_not);
  if (!why_not.empty()) return {engine::epoll, why_not};
  return {engine::io_uring, asked ? "asked for" : "it can be used here"};
}

load_spec load_of(const options& asked) {
  load_spec load = asked.load;
  for (const target& each : asked.targets) {
    try {
      load.targets.push_back(resolve(each.host_and_port));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("TARGET: " + std::string(error.what()));
    }
  }
  return load;
}

class coordinator {
public:
  explicit coordinator(const options& asked)
      : asked_(asked),
        engine_(choose_engine(asked.io)),
        load_(load_of(asked)),
        stop_fd_(open_stop_signals()),
        pool_(asked.seed, load_.messages.largest_payload()),
        messages_(load_.messages, pool_),
        random_(asked.seed),
        client_times_(asked.threads * asked.targets.size()) {
    load_.io = engine_.chosen;
    require_descriptors(asked);
    result_.io = engine_;
    result_.cells.resize(asked.targets.size());
    for (std::size_t t = 0; t < asked.targets.size(); ++t) {
      const target& each = result_.cells[t].driven = asked.targets[t];
      if (each.server_pid) accounts_.emplace_back(*each.server_pid);
    }
    std::vector<std::unique_ptr<worker>> workers;
    for (std::size_t i = 0; i < asked.threads; ++i) {
      workers.push_back(
          std::make_unique<worker>(load_, messages_, i, asked.threads, stop_fd_.get(), clock::now()));
    }
    crew_ = std::make_unique<team>(std::move(workers));
  }

  measurement run() {
    result_.started = std::chrono::system_clock::now();
    connect();
    warm_up();
    if (!stopped() && any_live()) measure();
    crew_->settle();
    for (std::size_t t = 0; t < asked_.targets.size(); ++t) conclude(t);
    result_.interrupted = stopped();
    result_.finished = std::chrono::system_clock::now();
    return std::move(result_);
  }

private:
  server_account* account_of(std::size_t target) {
    return asked_.targets[target].server_pid ? &accounts_[target] : nullptr;
  }
  bool stopped() const { return crew_->stop_requested(); }
  std::size_t live(std::size_t target) const { return crew_->live(target); }
  bool any_live() const {
    for (std::size_t t = 0; t < asked_.targets.size(); ++t) {
      if (live(t) > 0) return true;
    }
    return false;
  }
  void connect() {
    progress_.show(
        [&] { return fmt::format("connecting {} x {}", asked_.all_connections(), asked_.targets.size()); });
    crew_->connect();
  }

  void warm_up() {
    nanoseconds slowest_turn{0};
    for (std::size_t t = 0; t < asked_.targets.size() && asked_.warmup > 0ns && !stopped(); ++t) {
      if (live(t) == 0) continue;
      progress_.show([&] { return "warming up " + asked_.targets[t].label(); });
      const auto start = clock::now();
      const drive_plan plan{.target = t,
                            .rate = asked_.rate,
                            .start = start,
                            .measure_from = start,
                            .stop = start + asked_.warmup};
      const drive_totals seen(crew_->drive(plan));
      slowest_turn = std::max(slowest_turn, turn_seen(seen, clock::now() - start));
    }
    if (stopped()) return;
    result_.slices = plan_slices(asked_.slice, slowest_turn, asked_.open_loop(), asked_.targets.size() == 1,
                                 asked_.rounds > 0);
  }

  // By the warm-up without its drain, or where no reply came before that by all of it.
  nanoseconds turn_seen(const drive_totals& warmup, nanoseconds whole) const {
    const bool in_time = warmup.parts[1].requests > 0;
    const part_counts& seen = in_time ? warmup.parts[1] : warmup.all;
    return turn_of(
        {.requests = seen.requests, .elapsed = in_time ? asked_.warmup : whole, .service = seen.service},
        load_.connections * load_.pipeline, asked_.open_loop());
  }

  void measure() {
    for (auto& each : accounts_) each.begin_measuring();
    const auto start = clock::now();
    asked_.targets.size() == 1 ? measure_one() : measure_in_turns();
    result_.elapsed = clock::now() - start;
    for (auto& each : accounts_) each.end_measuring();
  }

  // One target: driven without a break, its time divided into windows.
  void measure_one() {
    cell& only = result_.cells.front();
    server_account* account = account_of(0);
    drive_plan plan{.rate = asked_.rate, .recorded = true};
    const auto duration = std::max<nanoseconds>(asked_.duration, result_.slices.length * asked_.rounds);
    plan.windows = std::max(asked_.rounds, static_cast<std::size_t>(std::clamp<std::int64_t>(
                                               duration / result_.slices.length, 1, most_windows)));
    result_.slices.length = duration / static_cast<std::int64_t>(plan.windows);
    std::vector<nanoseconds> cpu{begin_slice(0)};
    plan.start = plan.measure_from = clock::now();
    plan.stop = plan.start + duration;
    crew_->start(plan);
    for (std::size_t w = 1; w <= plan.windows && sleep_until(plan.end_of(w), stop_fd_.get()); ++w) {
      if (account != nullptr) cpu.push_back(account->within_slice());
      if (crew_->progress() == 0) continue;
      progress_.show([&] {
        const auto seconds = std::chrono::duration<double>(clock::now() - plan.start).count();
        return fmt::format("{} {:.0f} s of {:.0f} s, {:.0f} requests/s", only.driven.label(), seconds,
                           std::chrono::duration<double>(duration).count(),
                           static_cast<double>(crew_->progress()) / seconds);
      });
    }
    const auto counts = crew_->wait();
    const drive_totals totals(counts);
    end_slice(0, plan, counts, totals);
    for (std::size_t w = 0; w < plan.windows; ++w) {
      const auto begin = plan.end_of(w);
      const auto end = std::min(plan.end_of(w + 1), totals.stopped);
      if (end <= begin) break;
      slice& each = only.slices.emplace_back();
      each.index = w;
      each.requests = each.requests_total = totals.parts[w + 1].requests;
      each.elapsed = end - begin;
      each.client_cpu = totals.parts[w + 1].cpu;
      if (w + 1 < cpu.size()) each.server_cpu = std::max<nanoseconds>(cpu[w + 1] - cpu[w], 0ns);
    }
  }

  // Several targets: rounds of slices, as many as fit, and as many as were asked for.
  void measure_in_turns() {
    const slice_plan& plan = result_.slices;
    const auto round = plan.length * asked_.targets.size();
    if (round > asked_.duration && asked_.rounds == 0) {
      throw std::invalid_argument(
          fmt::format("--duration {} is too short: one slice of each target takes {} together (--slice {}); "
                      "use at least that, or --rounds",
                      format_duration(asked_.duration),
                      format_duration(std::chrono::ceil<std::chrono::milliseconds>(round)),
                      format_duration(std::chrono::ceil<std::chrono::microseconds>(plan.length))));
    }
    const auto end = clock::now() + asked_.duration;
    const auto at_least = std::max<std::size_t>(asked_.rounds, 1);
    for (std::size_t index = 0; !stopped() && any_live() && (index < at_least || clock::now() + round <= end);
         ++index) {
      for (const std::size_t t : next_round(asked_.targets.size(), random_)) {
        if (live(t) == 0 || stopped()) continue;
        run_slice(t, index);
        progress_.show([&] {
          const auto left = std::max<nanoseconds>(end - clock::now(), 0ns);
          return fmt::format("round {} of {} targets, {:.0f} s left", index + 1, asked_.targets.size(),
                             std::chrono::duration<double>(left).count());
        });
      }
    }
    if (stopped()) drop_incomplete_round();
  }

  void run_slice(std::size_t t, std::size_t index) {
    slice each;
    each.index = index;
    const nanoseconds cpu = begin_slice(t);
    drive_plan plan{.target = t, .rate = asked_.rate, .recorded = true};
    plan.start = clock::now();
    plan.measure_from = plan.start + result_.slices.guard;
    plan.stop = plan.start + result_.slices.length;
    const auto counts = crew_->drive(plan);
    const drive_totals totals(counts);
    const nanoseconds cpu_after = end_slice(t, plan, counts, totals);
    each.requests = totals.parts[1].requests;
    each.elapsed = std::max<nanoseconds>(totals.stopped - plan.measure_from, 0ns);
    each.requests_total = totals.all.requests;
    each.client_cpu = totals.all.cpu;
    if (account_of(t) != nullptr) each.server_cpu = std::max<nanoseconds>(cpu_after - cpu, 0ns);
    result_.cells[t].slices.push_back(each);
  }

  void drop_incomplete_round() {
    std::size_t last = 0;
    for (const cell& each : result_.cells) {
      if (!each.slices.empty()) last = std::max(last, each.slices.back().index);
    }
    for (cell& each : result_.cells) {
      if (!each.slices.empty() && each.slices.back().index == last) each.slices.pop_back();
    }
  }

  // The server's CPU at the start of a slice.
  nanoseconds begin_slice(std::size_t t) {
    return account_of(t) != nullptr ? account_of(t)->begin_slice() : 0ns;
  }

  // Adds what the slice brought to the cell; returns the server's CPU at its end.
  nanoseconds end_slice(std::size_t t, const drive_plan& plan, const std::vector<drive_counts>& workers,
                        const drive_totals& totals) {
    cell& own = result_.cells[t];
    const nanoseconds driven = clock::now() - plan.start;
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
    }
    for (std::size_t i = 0; i < workers.size(); ++i) {
      const drive_counts& counts = workers[i];
      client_time& time = client_times_[t * asked_.threads + i];
      time.elapsed += std::max<nanoseconds>(counts.stopped - plan.measure_from, 0ns);
      for (std::size_t w = 1; w <= plan.windows; ++w) time += counts.parts[w];
    }
    return account_of(t) != nullptr ? account_of(t)->end_slice(driven) : 0ns;
  }

  void conclude(std::size_t t) {
    cell& own = result_.cells[t];
    if (account_of(t) != nullptr) own.server = account_of(t)->use();
    target_outcome found = crew_->outcome(t);
    own.record = std::move(found.record);
    own.opened = found.opened;
    if (load_.pattern != workload::crr) own.connecting = found.connecting;
    std::vector<double> shares;
    std::size_t given_work = 0;
    for (std::size_t number = 0; number < found.connections.size(); ++number) {
      const connection_counts& counts = found.connections[number];
      own.served += counts.replies > 0;
      own.due += counts.due;
      if (counts.longest > own.longest_wait) {
        own.longest_wait = counts.longest;
        own.longest_waiting = number;
      }
      if (asked_.open_loop() && counts.due == 0) continue;  // was given nothing to do
      ++given_work;
      shares.push_back(static_cast<double>(counts.replies) /
                       static_cast<double>(asked_.open_loop() ? counts.due : 1));
    }
    own.jain_index = jain_index(shares);
    // In the open loop a share is of what was due, which a loop with more connections gives, too.
    own.spread = fairness_within_loops(std::move(shares), asked_.open_loop() ? 1 : own.driven.server_loops);
    for (std::size_t i = 0; i < asked_.threads; ++i) {
      const client_time& time = client_times_[t * asked_.threads + i];
      own.client_busy = std::max(own.client_busy, ratio(time.busy(), time.elapsed));
    }
    own.judged =
        judge({.errors = own.record.errors,
               .replies = own.requests_total,
               .open_loop = asked_.open_loop(),
               .client_busy = own.client_busy,
               .server_busy = own.server ? std::optional(own.server->busy) : std::nullopt,
               .on_schedule = own.on_schedule(),
               .unsent = own.record.unsent,
               .connections = given_work,
               .served = own.served,
               .spread = own.spread,
               .idle_share = own.server ? ratio(own.server->cpu_idle, result_.elapsed) : 0,
               .beyond_histogram = own.record.service.saturated() + own.record.response.saturated()});
  }

  const options& asked_;
  const engine_choice engine_;
  load_spec load_;
  const unique_fd stop_fd_;
  const payload_pool pool_;
  const message_plan messages_;
  std::mt19937_64 random_;                 // order of slices
  std::vector<server_account> accounts_;   // one per target, or none
  std::vector<client_time> client_times_;  // within windows, of each target and thread
  progress_line progress_;
  measurement result_;
  std::unique_ptr<team> crew_;  // last: its threads use what stands above
};

}  // namespace

measurement run(const options& asked) {
  if (!asked.cpus.empty()) restrict_to_cpus(asked.cpus);
  return coordinator(asked).run();
}

}  // namespace echobench
