#include "loadgen/drive/worker.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr std::size_t connects_in_flight = 128;  // per worker: well within a listener's backlog
constexpr std::size_t releases_at_a_time = 256;
constexpr nanoseconds gathering_time = 10us;  // that a send waits for others which are due soon
constexpr nanoseconds longest_poll = 20us;    // what an empty one takes beyond, the thread was off its CPU
constexpr std::uint64_t slow_requests = 64;   // that a slow reader adds when all of them are gone

load_error kind_of_connect_error(int error) noexcept {
  return error == ETIMEDOUT       ? load_error::timeout
         : error == EADDRNOTAVAIL ? load_error::no_port
                                  : load_error::refused;
}

load_error kind_of(client_session::finding finding) noexcept {
  return finding == client_session::finding::rejected  ? load_error::rejected
         : finding == client_session::finding::corrupt ? load_error::corrupt
                                                       : load_error::unsolicited;
}

}  // namespace

worker::worker(const load_spec& load, const message_plan& messages, std::size_t number, std::size_t workers,
               int stop_fd, clock::time_point origin)
    : load_(load),
      messages_(messages),
      table_(load, number, workers),
      reconnects_(load.pattern == workload::crr),
      origin_(origin),
      transport_(make_transport(load.io,
                                {.slots = table_.size(),
                                 .message_size = messages.largest_size(),
                                 .pipeline = load.pipeline,
                                 .kept = !reconnects_,
                                 .timestamps = load.accuracy,
                                 .stop_fd = stop_fd},
                                *this)),
      requests_(table_.count(role::active) * load.targets.size(), load.pipeline),
      live_(load.targets.size(), table_.count(role::active)),
      last_connected_(load.targets.size()),
      recorder_(load.targets.size(), messages.operations(), load.accuracy),
      timeouts_(load.timeout),
      slow_reads_(table_.count(role::slow), load.slow_read_rate) {
  const std::size_t per_target = load.connections + load.idle_connections + load.slow_readers;
  connections_.reserve(table_.size());
  for (std::size_t slot = 0; slot < table_.size(); ++slot) {
    const auto target = table_.target_of(slot);
    const auto id = target * per_target + table_.number_of(slot);
    connections_.push_back({.session = client_session(messages_, static_cast<std::uint32_t>(id)),
                            .target = static_cast<std::uint32_t>(target),
                            .index = static_cast<std::uint32_t>(table_.local_index(slot)),
                            .kind = table_.role_of(slot)});
  }
  for (std::size_t t = 0; t < load.targets.size(); ++t) {
    const share& part = table_.part(role::active);
    closed_.push_back(make_closed_pacer(load.pace, part, load.pipeline));
    open_.push_back(make_open_pacer(load.pace, part));
  }
}

// Connecting.

void worker::connect() {
  const connect_order order(table_, reconnects_, load_.connect_rate);
  const auto start = clock::now();
  timeouts_.begin(start);
  std::size_t started = 0;
  while ((started < order.count() || in_flight_ > 0) && !transport_->stop_requested()) {
    auto now = clock::now();
    auto due = now;
    for (; started < order.count() && in_flight_ < connects_in_flight; ++started) {
      due = start + order.due(started);
      if (due > now) break;
      start_connect(order.slot(started), now);
    }
    wait_until(due > now ? std::min(due, timeouts_.next()) : timeouts_.next());
    now = clock::now();
    if (now >= timeouts_.next()) check_timeouts(now);
  }
}

const endpoint* worker::source_of(std::size_t slot) const noexcept {
  const std::size_t target = connections_[slot].target;
  if (target >= load_.sources.size() || load_.sources[target].empty()) return nullptr;
  const auto& sources = load_.sources[target];
  return &sources[table_.number_of(slot) % sources.size()];
}

void worker::start_connect(std::size_t slot, clock::time_point now) {
  connection& conn = connections_[slot];
  conn.connect_started = now;
  conn.status = state::connecting;
  if (is_kept(conn)) ++in_flight_;
  const auto how = conn.kind == role::slow ? reading::on_demand : reading::as_it_comes;
  if (!transport_->connect(slot, load_.targets[conn.target], source_of(slot), how)) {
    fail(slot, kind_of_connect_error(errno), errno);
  }
}

void worker::on_connected(std::size_t slot) {
  connection& conn = connections_[slot];
  conn.status = state::open;
  conn.counted.opened = true;
  const auto now = clock::now();
  if (!reconnects_ ||
      (!is_kept(conn) && recorder_.is_measured(requests_.of(slot, conn.session.replied()).intended)))
    recorder_.connected(conn.target, now - conn.connect_started);
  if (load_.accuracy) recorder_.shook_hands(conn.target, transport_->handshake(slot));
  if (!is_kept(conn)) return transport_->flush(slot);
  last_connected_[conn.target] = now;
  --in_flight_;
  progress_.fetch_add(1, std::memory_order_relaxed);
}

// Driving.

void worker::drive(const drive_plan& plan) {
  plan_ = plan;
  pace_ = (plan.open_loop() ? open_ : closed_)[plan.target].get();
  in_flight_ = 0;
  progress_.store(0, std::memory_order_relaxed);
  first_ = table_.slot(role::active, plan.target, 0);
  last_ = first_ + table_.count(role::active);
  recorder_.begin(plan);
  time_.begin(plan);
  pace().begin(plan);

  auto now = clock::now();
  timeouts_.begin(now);
  slow_reads_.begin(now);
  for (std::size_t slot = first_; slot < last_; ++slot) refill(slot, clock::now());
  while ((now = clock::now()) < plan_.stop && !transport_->stop_requested()) {
    time_.advance_to(now);
    recorder_.make_exchange();
    release_due(now, now);
    gather(now);
    if (now >= timeouts_.next()) check_timeouts(now);
    if (now >= slow_reads_.next()) read_slowly(now);
    if (live_[plan.target] == 0) break;
    wait_until(std::min({time_.part_end(), timeouts_.next(), slow_reads_.next(), pace().next().due}));
  }
  const auto stopped = std::min(now, plan_.stop);
  pace().end(stopped);
  transport_->stop_requested() ? abandon() : drain();
  time_.end(stopped, clock::now());
}

// What is due and not sent when the time-out has passed is dropped; what was sent by then has its own.
void worker::drain() {
  const auto drop_at = plan_.stop + load_.timeout;
  const auto unreleased = [&] { return plan_.open_loop() && pace().next().due < plan_.stop; };
  for (auto now = clock::now();
       (in_flight_ > 0 || pace().backlog() > 0 || unreleased()) && !transport_->stop_requested();
       now = clock::now()) {
    time_.advance_to(now);
    if (now >= drop_at) {
      for (; unreleased(); pace().release()) count_due(connections_[first_ + pace().next().connection]);
      for (std::size_t slot = first_; slot < last_; ++slot) {
        recorder_.dropped(plan_.target, drop(connections_[slot]));
      }
    } else if (plan_.open_loop()) {
      release_due(plan_.stop, now);
    }
    if (now >= timeouts_.next()) check_timeouts(now);
    wait_until(unreleased() ? now : now < drop_at ? std::min(timeouts_.next(), drop_at) : timeouts_.next());
  }
  settle();
}

// Broken off by the user: what is in flight is neither a reply nor an error.
void worker::abandon() {
  for (std::size_t slot = first_; slot < last_; ++slot) {
    connection& conn = connections_[slot];
    const auto unanswered = drop(conn) + conn.session.outstanding();
    conn.counted.due -= std::min(conn.counted.due, unanswered);
  }
}

void worker::settle() {
  while (transport_->poll() && !transport_->stop_requested()) {
  }
}

// Sends what a connection may send now.
void worker::refill(std::size_t slot, clock::time_point now) {
  connection& conn = connections_[slot];
  while (conn.status != state::failed && !pipeline_full(conn) && pace().may_issue(conn.index, now)) {
    issue(slot, now);
  }
  if (conn.status != state::open || !conn.session.has_pending()) return;
  gathering_since_ = std::min(gathering_since_, now);
  transport_->flush(slot);
}

void worker::issue(std::size_t slot, clock::time_point now) {
  connection& conn = connections_[slot];
  request_times& times = requests_.of(slot, conn.session.requested());
  times.intended = pace().issue(conn.index, now);
  times.ready = std::max(times.intended, conn.room_since);
  times.sent = now;
  if (!plan_.open_loop()) conn.counted.due += recorder_.is_recorded();
  conn.session.request();
  ++in_flight_;
  if (!reconnects_) return;
  times.sent = clock::now();
  if (plan_.open_loop()) recorder_.handed_over(times);
  start_connect(slot, times.sent);
}

void worker::count_due(connection& conn) noexcept {
  conn.counted.due += recorder_.is_recorded();
  ++time_.now().due;
}

// Takes in hand what is due by then: some of it at a time, so that replies are read however much that is.
void worker::release_due(clock::time_point by, clock::time_point now) {
  for (std::size_t i = 0; i < releases_at_a_time; ++i) {
    const auto [due, index] = pace().next();
    if (due > by || due >= plan_.stop) break;
    const std::size_t slot = first_ + index;
    pace().release();
    connection& conn = connections_[slot];
    if (plan_.open_loop()) count_due(conn);
    if (conn.status == state::failed) {
      recorder_.dropped(plan_.target, drop(conn));
      continue;
    }
    if (plan_.open_loop()) recorder_.became_due(due);
    if (plan_.open_loop() && pipeline_full(conn)) recorder_.waits_for_pipeline(due);
    refill(slot, now);
  }
}

// Lets sends wait for others that are due within `gathering_time` of the first, so that the kernel is entered
// once for all of them. Where it is entered for each anyway nothing waits.
void worker::gather(clock::time_point& now) {
  if (load_.io != engine::io_uring || !plan_.open_loop()) return;
  const auto until =
      gathering_since_ == clock::time_point::max() ? gathering_since_ : gathering_since_ + gathering_time;
  while (gathering_since_ != clock::time_point::max() && pace().next().due < std::min(until, plan_.stop)) {
    const auto before = std::exchange(now, clock::now());
    time_.now().polling += std::min<nanoseconds>(now - before, longest_poll);
    release_due(now, now);
  }
}

// Reads a little of what slow readers were sent, and sees that there is always more to send.
void worker::read_slowly(clock::time_point now) {
  slow_reads_.done(now);
  for (std::size_t i = 0; i < table_.count(role::slow); ++i) {
    const std::size_t slot = table_.slot(role::slow, plan_.target, i);
    connection& conn = connections_[slot];
    if (conn.status != state::open) continue;
    if (!conn.session.has_pending()) {
      for (std::uint64_t k = 0; k < slow_requests; ++k) conn.session.request();
      transport_->flush(slot);
    }
    transport_->receive(slot, slow_reads_.bytes());
  }
}

// What the transport asks and reports.

std::span<const std::byte> worker::pending(std::size_t slot, std::span<std::byte> scratch) noexcept {
  return connections_[slot].session.pending(scratch);
}

void worker::taken(std::size_t slot, std::size_t n) noexcept { connections_[slot].session.sent(n); }

void worker::handed_over(std::size_t slot, std::size_t n, clock::time_point when) noexcept {
  connection& conn = connections_[slot];
  if (is_measured(conn)) time_.now().bytes_out += n;
  if (conn.kind != role::active || reconnects_) return;
  for (const auto begun = conn.session.begun(); conn.handed_over < begun; ++conn.handed_over) {
    request_times& times = requests_.of(slot, conn.handed_over);
    times.sent = when;
    if (plan_.open_loop()) recorder_.handed_over(times);
  }
}

void worker::given_back(std::size_t slot, std::size_t n) noexcept {
  if (!is_measured(connections_[slot])) return;
  auto& counted = time_.now().bytes_out;
  counted -= std::min<std::uint64_t>(counted, n);
}

void worker::on_kernel_times(std::size_t, clock::time_point sent, clock::time_point received) {
  kernel_sent_ = sent;
  kernel_received_ = received;
}

void worker::on_bytes(std::size_t slot, std::span<const std::byte> bytes, clock::time_point arrived) {
  connection& conn = connections_[slot];
  const bool was_full = pipeline_full(conn);
  const auto first = conn.session.replied();
  const auto [replies, finding] = conn.session.received(bytes);
  if (time_.driving()) time_.advance_to(arrived);
  if (is_measured(conn)) time_.now().bytes_in += bytes.size();
  if (conn.kind == role::active) {
    if (was_full && replies > 0) conn.room_since = arrived;
    for (auto sequence = first; sequence < first + replies; ++sequence) {
      complete(conn, requests_.of(slot, sequence),
               messages_.operation_of(conn.session.connection(), sequence), arrived);
    }
  }
  if (finding != client_session::finding::good) return fail(slot, kind_of(finding));
  if (replies == 0 || conn.kind != role::active) return;
  if (reconnects_) {
    transport_->abort(slot);
    conn.status = state::closed;
    conn.session.restart();
  }
  refill(slot, arrived);
}

void worker::complete(connection& conn, const request_times& request, std::uint32_t operation,
                      clock::time_point now) {
  --in_flight_;
  time_.answered(request.intended, request.sent, now);
  part_counts& part = time_.now();
  conn.counted.replies += recorder_.is_recorded();
  const auto counts = recorder_.replied(request, operation, now);
  if (load_.accuracy) recorder_.timed(request, kernel_sent_, kernel_received_, now);
  if (recorder_.is_recorded()) {
    part.slowest = std::max<nanoseconds>(part.slowest, counts);
    conn.counted.longest = std::max<nanoseconds>(conn.counted.longest, counts);
    conn.counted.waited += now - request.sent;
    if (messages_.operations() > 1) {
      conn.counted.by_operation.resize(messages_.operations());
      ++conn.counted.by_operation[operation];
    }
  }
  pace().answered(conn.index, now);
}

void worker::on_end(std::size_t slot) { fail(slot, load_error::short_reply); }

void worker::on_error(std::size_t slot, int error) {
  const bool connecting = connections_[slot].status == state::connecting;
  fail(slot, connecting ? kind_of_connect_error(error) : load_error::reset, error);
}

// A failed connection is not replaced: the load would no longer be the one that was asked for.
void worker::fail(std::size_t slot, load_error kind, int error) {
  connection& conn = connections_[slot];
  recorder_.failed(conn.target, {.kind = kind,
                                 .error = error,
                                 .at = clock::now() - origin_,
                                 .connection = table_.number_of(slot),
                                 .request = conn.session.replied(),
                                 .reply_bytes = conn.session.reply_offset(),
                                 .idle = conn.kind == role::idle});
  if (conn.status == state::connecting && is_kept(conn)) --in_flight_;
  if (conn.kind == role::active) {
    in_flight_ -= conn.session.outstanding();
    recorder_.dropped(conn.target, drop(conn));
    --live_[conn.target];
  }
  conn.session.restart();
  conn.status = state::failed;
  transport_->close(slot);
}

std::uint64_t worker::drop(connection& conn) noexcept {
  closed_[conn.target]->drop(conn.index);
  return open_[conn.target]->drop(conn.index);
}

connection_counts worker::take_counts(std::size_t slot) noexcept {
  const bool opened = connections_[slot].counted.opened;
  return std::exchange(connections_[slot].counted, {.opened = opened});
}

// Fails what has waited too long. Replies that have arrived and were not read yet, because this client was
// kept from its CPU, are no time-out.
void worker::check_timeouts(clock::time_point now) {
  timeouts_.look(now);
  const bool all = !time_.driving();  // connecting
  for (std::size_t slot = all ? 0 : first_; slot < (all ? connections_.size() : last_); ++slot) {
    connection& conn = connections_[slot];
    const bool connecting = conn.status == state::connecting;
    if (!connecting && (conn.kind != role::active || conn.session.outstanding() == 0)) continue;
    const auto since = connecting ? conn.connect_started : requests_.of(slot, conn.session.replied()).sent;
    if (!timeouts_.is_over(since, now) || transport_->has_news(slot)) continue;
    if (recorder_.is_recorded()) {
      conn.counted.longest = std::max<nanoseconds>(conn.counted.longest, now - since);
      conn.counted.waited += now - since;
    }
    fail(slot, load_error::timeout);
  }
  timeouts_.done(clock::now());
  if (!time_.driving()) return;
  std::uint64_t requests = 0;
  for (const auto& part : time_.counts().parts) requests += part.requests;
  progress_.store(requests, std::memory_order_relaxed);
}

// Until the first events or `until`, and handles the events. A worker that must not miss a due time sleeps
// less and polls the rest; one that must never sleep polls all the time.
void worker::wait_until(clock::time_point until) {
  gathering_since_ = clock::time_point::max();
  const bool driving = time_.driving();
  const bool punctual = driving && pace().next().due != clock::time_point::max();
  auto now = clock::now();
  const nanoseconds sleep = punctual ? margin_.sleep_for(until - now) : until - now;
  if (!(load_.busy_poll && driving) && (!punctual || sleep > 0ns)) {
    const auto slept = transport_->wait(std::max<nanoseconds>(sleep, 0ns));
    if (driving) time_.now().blocked += slept;
    margin_.slept(std::max<nanoseconds>(sleep, 0ns), slept);
    return;
  }
  do {
    const auto before = now;
    if (transport_->poll()) return;
    now = clock::now();
    if (driving) time_.now().polling += std::min<nanoseconds>(now - before, longest_poll);
  } while (now < until);
}

}  // namespace echobench
