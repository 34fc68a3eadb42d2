#include "loadgen/drive/worker.hpp"

#include "common/cpu.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr std::size_t connects_in_flight = 128;         // per worker: well within a listener's backlog
constexpr std::size_t connections_per_source = 25'000;  // of the 28,232 ports of the default range
constexpr nanoseconds spin_margin = 50us;               // a sleep may end this late; the rest is polled
constexpr std::size_t releases_at_a_time = 256;
constexpr nanoseconds longest_poll = 20us;  // what an empty one takes beyond, the thread was off its CPU

// Source addresses 127.0.1.0, 127.0.1.1, ... when one alone has too few ports for so many connections.
std::vector<endpoint> make_sources(const endpoint& target, std::size_t connections) {
  std::vector<endpoint> sources;
  if (connections <= connections_per_source || target.family() != AF_INET) return sources;
  const auto address = ntohl(reinterpret_cast<const sockaddr_in*>(target.address())->sin_addr.s_addr);
  if (address >> 24 != IN_LOOPBACKNET) return sources;
  const auto count = (connections - 1) / connections_per_source + 1;
  for (std::size_t i = 0; i < count; ++i) {
    endpoint source = target;
    source.set_port(0);
    reinterpret_cast<sockaddr_in*>(source.address())->sin_addr.s_addr =
        htonl(static_cast<std::uint32_t>(0x7f00'0100 + i));
    sources.push_back(source);
  }
  return sources;
}

load_error kind_of_connect_error(int error) noexcept {
  return error == ETIMEDOUT ? load_error::timeout : load_error::refused;
}

}  // namespace

worker::worker(const options& asked, const std::vector<endpoint>& targets, const message_plan& plan,
               std::size_t number, int stop_fd)
    : messages_(plan),
      targets_(targets),
      number_(number),
      threads_(asked.threads),
      own_((asked.connections - number + asked.threads - 1) / asked.threads),
      own_idle_((asked.idle_connections + asked.threads - 1 - number) / asked.threads),
      first_idle_(own_ * targets.size()),
      pipeline_(asked.pipeline),
      timing_slots_(std::bit_ceil(asked.pipeline)),
      open_loop_(asked.open_loop()),
      reconnects_(asked.pattern == workload::crr),
      timeout_(asked.timeout),
      connect_rate_(asked.connect_rate),
      busy_poll_(asked.busy_poll),
      engine_((own_ + own_idle_) * targets.size(), stop_fd),
      timings_(own_ * targets.size() * timing_slots_),
      sources_(make_sources(targets.front(), asked.all_connections())),
      driven_(targets.size()),
      records_(targets.size()),
      live_(targets.size(), own_),
      last_connected_(targets.size()) {
  connections_.reserve((own_ + own_idle_) * targets.size());
  for (std::size_t slot = 0; slot < own_ * targets.size(); ++slot) {
    const auto id = target_of(slot) * asked.connections + slot % own_ * threads_ + number_;
    connections_.push_back({.session = client_session(messages_, static_cast<std::uint32_t>(id))});
  }
  while (connections_.size() < (own_ + own_idle_) * targets.size()) {
    connections_.push_back({.session = client_session(messages_, 0)});  // which sends nothing
  }
  if (open_loop_) {
    schedules_.reserve(targets.size());
    for (std::size_t t = 0; t < targets.size(); ++t) {
      schedules_.emplace_back(asked.arrival, schedule_share{.rate = asked.rate,
                                                            .connections = asked.connections,
                                                            .first = number_,
                                                            .stride = threads_,
                                                            .seed = asked.seed * 1'000'003 + t});
    }
  }
}

connection_counts worker::of_connection(std::size_t target, std::size_t own) const noexcept {
  return connections_[target * own_ + own].counted;
}

std::size_t worker::idle_opened(std::size_t target) const noexcept {
  const auto first = connections_.begin() + static_cast<std::ptrdiff_t>(first_idle_ + target * own_idle_);
  return static_cast<std::size_t>(std::count_if(first, first + static_cast<std::ptrdiff_t>(own_idle_),
                                                [](const connection& of) { return of.counted.opened; }));
}

// Connecting.

void worker::connect() {
  const auto start = clock::now();
  next_sweep_ = start;
  const std::size_t unconnected = reconnects_ ? first_idle_ : 0;
  std::size_t started = unconnected;
  while ((started < connections_.size() || in_flight_ > 0) && !engine_.stop_requested()) {
    auto now = clock::now();
    auto due = now;
    for (; started < connections_.size() && in_flight_ < connects_in_flight; ++started) {
      if (connect_rate_ != 0)
        due = start +
              nanoseconds(((started - unconnected) * threads_ + number_) * 1'000'000'000 / connect_rate_);
      if (due > now) break;
      // Targets in turn, so that none is flooded.
      const bool idle = is_idle(started);
      const std::size_t turn = started - (idle ? first_idle_ : 0);
      start_connect((idle ? first_idle_ : 0) + turn % targets_.size() * (idle ? own_idle_ : own_) +
                        turn / targets_.size(),
                    now);
    }
    wait_until(due > now ? std::min(due, next_sweep_) : next_sweep_);
    now = clock::now();
    if (now >= next_sweep_) give_up(0, connections_.size(), now - timeout_);
  }
}

void worker::start_connect(std::size_t slot, clock::time_point now) {
  connection& own = connections_[slot];
  own.connect_started = now;
  own.status = state::connecting;
  if (is_kept(slot)) ++in_flight_;
  const std::size_t among = is_idle(slot) ? own_ + (slot - first_idle_) % own_idle_ : slot % own_;
  const endpoint* source = sources_.empty() ? nullptr : &sources_[among % sources_.size()];
  if (!engine_.connect(slot, targets_[target_of(slot)], source)) {
    fail(slot, kind_of_connect_error(errno), errno);
  }
}

void worker::on_connected(std::size_t slot) {
  connection& own = connections_[slot];
  own.status = state::open;
  own.counted.opened = true;
  const auto now = clock::now();
  const std::size_t target = target_of(slot);
  const bool recorded = !reconnects_ || (!is_idle(slot) && is_measured(own.connect_started));
  if (recorded) records_[target].connect.record(now - own.connect_started);
  if (!is_kept(slot)) return engine_.flush(slot, *this);
  last_connected_[target] = now;
  --in_flight_;
  progress_.fetch_add(1, std::memory_order_relaxed);
}

// Driving.

void worker::drive(const drive_plan& plan) {
  plan_ = plan;
  in_flight_ = 0;
  progress_.store(0, std::memory_order_relaxed);
  start_parts();
  const std::size_t first = plan.target * own_;
  const std::size_t last = first + own_;
  schedule_origin_ = plan.start - driven_[plan.target];

  auto now = clock::now();
  next_sweep_ = now;
  if (!open_loop_) {
    for (std::size_t slot = first; slot < last; ++slot) refill(slot, now = clock::now());
  }
  while ((now = clock::now()) < plan_.stop && !engine_.stop_requested()) {
    account_until(now);
    if (open_loop_) release_due(now);
    if (now >= next_sweep_) give_up(first, last, now - timeout_);
    if (live_[plan.target] == 0) break;
    wait_until(std::min({part_end_, next_sweep_, next_due()}));
  }
  counts_.stopped = std::min(now, plan_.stop);
  driven_[plan.target] += counts_.stopped - plan.start;
  engine_.stop_requested() ? abandon() : drain();
  account_until(std::max(clock::now(), plan_.stop));
  end_part();
}

void worker::drain() {
  const std::size_t first = plan_.target * own_;
  const std::size_t last = first + own_;
  const auto give_up_at = plan_.stop + timeout_;
  const auto unreleased = [&] { return next_due() < plan_.stop; };
  const auto unsent = [&] { return open_loop_ ? schedules_[plan_.target].backlog() : 0; };
  for (auto now = clock::now(); (in_flight_ > 0 || unsent() > 0 || unreleased()) && !engine_.stop_requested();
       now = clock::now()) {
    account_until(now);
    if (open_loop_) release_due(plan_.stop);
    if (now >= give_up_at) {
      for (std::size_t slot = first; slot < last; ++slot) {
        records_[plan_.target].unsent += drop_backlog(slot);
      }
      give_up(first, last, clock::time_point::max());
    } else if (now >= next_sweep_) {
      give_up(first, last, now - timeout_);
    }
    wait_until(unreleased() ? now : std::min(next_sweep_, give_up_at));
  }
  settle();
}

// Broken off by the user: what is in flight is neither a reply nor an error.
void worker::abandon() {
  for (std::size_t slot = plan_.target * own_; slot < (plan_.target + 1) * own_; ++slot) {
    drop_backlog(slot);
  }
}

void worker::settle() {
  while (engine_.poll(*this) && !engine_.stop_requested()) {
  }
}

// Sends what a connection may send now: closed loop, as many as the pipeline takes; open loop, what was
// waiting.
void worker::refill(std::size_t slot, clock::time_point now) {
  connection& own = connections_[slot];
  while (can_issue(own)) {
    if (open_loop_) {
      if (!has_backlog(slot)) break;
      issue(slot, schedule_origin_ + schedules_[plan_.target].issue(slot % own_), now);
    } else {
      if (now >= plan_.stop) break;
      issue(slot, now, now);
    }
  }
  if (own.status == state::open) engine_.flush(slot, *this);
}

void worker::issue(std::size_t slot, clock::time_point intended, clock::time_point now) {
  connection& own = connections_[slot];
  timing_of(slot, own.session.requested()) = {.intended = intended, .sent = now};
  own.session.request();
  ++in_flight_;
  if (reconnects_) start_connect(slot, now);
}

// Takes in hand what is due by now: some of it at a time, so that replies are read however much that is.
void worker::release_due(clock::time_point now) {
  schedule& due = schedules_[plan_.target];
  target_record& record = records_[plan_.target];
  for (std::size_t i = 0; i < releases_at_a_time; ++i) {
    const auto intended = schedule_origin_ + due.next().due;
    if (intended > now || intended >= plan_.stop) break;
    const std::size_t slot = plan_.target * own_ + due.next().connection;
    due.release();
    connection& own = connections_[slot];
    const auto taken = clock::now();
    if (is_measured(intended)) {
      record.lag.record(taken - intended);
      record.on_schedule += taken - intended <= schedule_tolerance;
    }
    own.counted.due += plan_.recorded;
    if (own.status == state::failed) {
      record.unsent += drop_backlog(slot);
    } else {
      refill(slot, taken);
    }
  }
}

clock::time_point worker::next_due() const noexcept {
  if (!open_loop_) return clock::time_point::max();
  return schedule_origin_ + schedules_[plan_.target].next().due;
}

// What arrives.

void worker::on_bytes(std::size_t slot, std::span<const std::byte> bytes) {
  const auto now = clock::now();
  connection& own = connections_[slot];
  const auto first = own.session.replied();
  const auto [replies, found] = own.session.received(bytes);
  account_until(now);
  for (std::size_t i = 0; i < replies; ++i) complete(slot, timing_of(slot, first + i), now);
  switch (found) {
    case client_session::finding::good: break;
    case client_session::finding::rejected: return fail(slot, load_error::rejected);
    case client_session::finding::corrupt: return fail(slot, load_error::corrupt);
    case client_session::finding::unsolicited: return fail(slot, load_error::unsolicited);
  }
  if (replies == 0) return;
  if (reconnects_) {
    engine_.abort(slot);
    own.status = state::closed;
    own.session.restart();
  }
  refill(slot, now);
}

void worker::complete(std::size_t slot, const timing& request, clock::time_point now) {
  --in_flight_;
  ++counts_.parts[part_].requests;
  counts_.parts[part_].service += now - request.sent;
  connections_[slot].counted.replies += plan_.recorded;
  if (!is_measured(request.intended)) return;
  target_record& record = records_[plan_.target];
  record.service.record(now - request.sent);
  if (open_loop_) record.response.record(now - request.intended);
}

void worker::on_end(std::size_t slot) { fail(slot, load_error::short_reply); }

void worker::on_error(std::size_t slot, int error) {
  const bool connecting = connections_[slot].status == state::connecting;
  fail(slot, connecting ? kind_of_connect_error(error) : load_error::reset, error);
}

// A failed connection is not replaced: the load would no longer be the one that was asked for.
void worker::fail(std::size_t slot, load_error kind, int error) {
  connection& own = connections_[slot];
  target_record& record = records_[target_of(slot)];
  const auto index = static_cast<std::size_t>(kind);
  ++record.errors[index];
  if (record.first_errno[index] == 0) record.first_errno[index] = error;
  in_flight_ -= own.session.outstanding();
  if (own.status == state::connecting && is_kept(slot)) --in_flight_;
  record.unsent += drop_backlog(slot);
  own.session.restart();
  own.status = state::failed;
  engine_.close(slot);
  if (!is_idle(slot)) --live_[target_of(slot)];
}

// Fails what was asked before that moment and not answered, and says when to look again.
void worker::give_up(std::size_t first, std::size_t last, clock::time_point sent_before) {
  for (std::size_t slot = first; slot < last; ++slot) {
    const connection& own = connections_[slot];
    const bool connecting = own.status == state::connecting;
    if (!connecting && own.session.outstanding() == 0) continue;
    const auto since = connecting ? own.connect_started : timing_of(slot, own.session.replied()).sent;
    if (since < sent_before) fail(slot, load_error::timeout);
  }
  const auto now = clock::now();
  next_sweep_ = now + std::clamp<nanoseconds>(timeout_ / 16, 1ms, 250ms);
  const auto& parts = counts_.parts;
  if (parts.empty()) return;  // connecting
  std::uint64_t requests = 0;
  for (const auto& part : parts) requests += part.requests;
  progress_.store(requests, std::memory_order_relaxed);
}

// Time.

void worker::start_parts() {
  counts_.parts.assign(plan_.windows + 2, {});
  part_ = 0;
  part_end_ = plan_.end_of(0);
  if (!run_queue_) run_queue_.emplace();
  cpu_mark_ = thread_cpu_time();
  waiting_mark_ = run_queue_->now();
}

void worker::end_part() {
  const auto cpu = thread_cpu_time();
  const auto waiting = run_queue_->now();
  counts_.parts[part_].cpu += cpu - cpu_mark_;
  counts_.parts[part_].waiting += waiting - waiting_mark_;
  cpu_mark_ = cpu;
  waiting_mark_ = waiting;
}

// Moves on to the part that holds `now`.
void worker::account_until(clock::time_point now) {
  if (counts_.parts.empty()) return;  // connecting: whatever comes now is unsolicited
  while (now >= part_end_ && part_ <= plan_.windows) {
    end_part();
    ++part_;
    part_end_ = part_ <= plan_.windows ? plan_.end_of(part_) : clock::time_point::max();
  }
}

// Until the first events or `until`, and handles the events. A worker that must not miss a due time sleeps
// less and polls the rest, because a sleep would end late; one that must never sleep polls all the time.
void worker::wait_until(clock::time_point until) {
  const bool driving = !counts_.parts.empty();
  part_counts connecting;
  part_counts& part = driving ? counts_.parts[part_] : connecting;
  auto now = clock::now();
  const nanoseconds sleep = until - now - (open_loop_ ? spin_margin : 0ns);
  if (!(busy_poll_ && driving) && (!open_loop_ || sleep > 0ns)) {
    part.blocked += engine_.wait(std::max(sleep, 0ns), *this);
    return;
  }
  do {
    const auto before = now;
    if (engine_.poll(*this)) return;
    now = clock::now();
    part.polling += std::min<nanoseconds>(now - before, longest_poll);
  } while (now < until);
}

}  // namespace echobench
