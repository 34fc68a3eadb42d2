#include "loadgen/drive/worker.hpp"

#include "loadgen/drive/source_addresses.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr std::size_t connects_in_flight = 128;  // per worker: well within a listener's backlog
constexpr nanoseconds shortest_margin = 50us;
constexpr nanoseconds longest_margin = 200us;
constexpr std::size_t releases_at_a_time = 256;
constexpr nanoseconds longest_poll = 20us;       // what an empty one takes beyond, the thread was off its CPU
constexpr nanoseconds throttle_interval = 20ms;  // between the reads of a slow reader
constexpr std::uint64_t slow_requests = 64;      // that a slow reader adds when all of them are gone

load_error kind_of_connect_error(int error) noexcept {
  return error == ETIMEDOUT ? load_error::timeout : load_error::refused;
}

load_error kind_of(client_session::finding found) noexcept {
  return found == client_session::finding::rejected  ? load_error::rejected
         : found == client_session::finding::corrupt ? load_error::corrupt
                                                     : load_error::unsolicited;
}

}  // namespace

worker::worker(const load_spec& load, const message_plan& messages, std::size_t number, std::size_t workers,
               int stop_fd, clock::time_point origin)
    : load_(load),
      messages_(messages),
      table_(load, number, workers),
      reconnects_(load.pattern == workload::crr),
      times_per_slot_(std::bit_ceil(load.pipeline)),
      origin_(origin),
      transport_(make_transport(load.io,
                                {.slots = table_.size(),
                                 .message_size = messages.largest_size(),
                                 .pipeline = load.pipeline,
                                 .kept = !reconnects_,
                                 .timestamps = load.accuracy,
                                 .stop_fd = stop_fd},
                                *this)),
      times_(table_.count(role::active) * load.targets.size() * times_per_slot_),
      sources_(source_addresses(load.targets.front(),
                                load.connections + load.idle_connections + load.slow_readers)),
      live_(load.targets.size(), table_.count(role::active)),
      last_connected_(load.targets.size()),
      recorder_(load.targets.size(), messages.operations(), load.accuracy) {
  const std::size_t each = load.connections + load.idle_connections + load.slow_readers;
  connections_.reserve(table_.size());
  for (std::size_t slot = 0; slot < table_.size(); ++slot) {
    const auto target = table_.target_of(slot);
    const auto id = target * each + table_.number_of(slot);
    connections_.push_back({.session = client_session(messages_, static_cast<std::uint32_t>(id)),
                            .target = static_cast<std::uint32_t>(target),
                            .own = static_cast<std::uint32_t>(table_.own_index(slot)),
                            .its = table_.role_of(slot)});
  }
  for (std::size_t t = 0; t < load.targets.size(); ++t) {
    const share& own = table_.own(role::active);
    closed_.push_back(make_closed_pacer(load.pace, own, load.pipeline));
    open_.push_back(make_open_pacer(load.pace, own));
  }
}

// Connecting.

void worker::connect() {
  const auto start = clock::now();
  next_sweep_ = start;
  const std::size_t to_open = connections_.size() - (reconnects_ ? table_.slot(role::idle, 0, 0) : 0);
  const share& turns = table_.own(role::active);
  std::size_t started = 0;
  while ((started < to_open || in_flight_ > 0) && !transport_->stop_requested()) {
    auto now = clock::now();
    auto due = now;
    for (; started < to_open && in_flight_ < connects_in_flight; ++started) {
      if (load_.connect_rate != 0)
        due = start + nanoseconds(turns.number_of(started) * 1'000'000'000 / load_.connect_rate);
      if (due > now) break;
      start_connect(slot_to_connect(started), now);
    }
    wait_until(due > now ? std::min(due, next_sweep_) : next_sweep_);
    now = clock::now();
    if (now >= next_sweep_) give_up(now - load_.timeout);
  }
}

// Targets in turn, so that none is flooded; one role after the other.
std::size_t worker::slot_to_connect(std::size_t index) const noexcept {
  for (const role each : {role::active, role::idle, role::slow}) {
    if (each == role::active && reconnects_) continue;
    const std::size_t all = table_.count(each) * table_.targets();
    if (index < all) return table_.slot(each, index % table_.targets(), index / table_.targets());
    index -= all;
  }
  return 0;
}

void worker::start_connect(std::size_t slot, clock::time_point now) {
  connection& own = connections_[slot];
  own.connect_started = now;
  own.status = state::connecting;
  if (is_kept(own)) ++in_flight_;
  const endpoint* source = sources_.empty() ? nullptr : &sources_[table_.number_of(slot) % sources_.size()];
  const auto how = own.its == role::slow ? reading::on_demand : reading::as_it_comes;
  if (!transport_->connect(slot, load_.targets[own.target], source, how)) {
    fail(slot, kind_of_connect_error(errno), errno);
  }
}

void worker::on_connected(std::size_t slot) {
  connection& own = connections_[slot];
  own.status = state::open;
  own.counted.opened = true;
  const auto now = clock::now();
  if (!reconnects_ || (!is_kept(own) && recorder_.is_measured(own.connect_started)))
    recorder_.connected(own.target, now - own.connect_started);
  if (load_.accuracy) recorder_.shook_hands(own.target, transport_->handshake(slot));
  if (!is_kept(own)) return transport_->flush(slot);
  last_connected_[own.target] = now;
  --in_flight_;
  progress_.fetch_add(1, std::memory_order_relaxed);
}

// Driving.

void worker::drive(const drive_plan& plan) {
  plan_ = plan;
  in_flight_ = 0;
  progress_.store(0, std::memory_order_relaxed);
  first_ = table_.slot(role::active, plan.target, 0);
  last_ = first_ + table_.count(role::active);
  recorder_.begin(plan);
  time_.begin(plan);
  pace().begin(plan);

  auto now = clock::now();
  next_sweep_ = next_throttled_read_ = now;
  for (std::size_t slot = first_; slot < last_; ++slot) refill(slot, clock::now());
  while ((now = clock::now()) < plan_.stop && !transport_->stop_requested()) {
    time_.advance_to(now);
    recorder_.make_exchange();
    release_due(now);
    if (now >= next_sweep_) give_up(now - load_.timeout);
    if (now >= next_throttled_read_) throttled_read(now);
    if (live_[plan.target] == 0) break;
    wait_until(std::min({time_.part_end(), next_sweep_, next_throttled_read_, pace().next().due}));
  }
  const auto stopped = std::min(now, plan_.stop);
  pace().end(stopped);
  transport_->stop_requested() ? abandon() : drain();
  time_.end(stopped, clock::now());
}

void worker::drain() {
  const auto give_up_at = plan_.stop + load_.timeout;
  const auto unreleased = [&] { return plan_.open_loop() && pace().next().due < plan_.stop; };
  for (auto now = clock::now();
       (in_flight_ > 0 || pace().backlog() > 0 || unreleased()) && !transport_->stop_requested();
       now = clock::now()) {
    time_.advance_to(now);
    if (plan_.open_loop()) release_due(plan_.stop);
    if (now >= give_up_at) {
      for (std::size_t slot = first_; slot < last_; ++slot) {
        recorder_.dropped(plan_.target, drop(connections_[slot]));
      }
      give_up(clock::time_point::max());
    } else if (now >= next_sweep_) {
      give_up(now - load_.timeout);
    }
    wait_until(unreleased() ? now : std::min(next_sweep_, give_up_at));
  }
  settle();
}

// Broken off by the user: what is in flight is neither a reply nor an error.
void worker::abandon() {
  for (std::size_t slot = first_; slot < last_; ++slot) drop(connections_[slot]);
}

void worker::settle() {
  while (transport_->poll() && !transport_->stop_requested()) {
  }
}

// Sends what a connection may send now.
void worker::refill(std::size_t slot, clock::time_point now) {
  connection& own = connections_[slot];
  while (own.status != state::failed && !pipeline_full(own) && pace().may_issue(own.own, now)) {
    issue(slot, now);
  }
  if (own.status == state::open && own.session.has_pending()) transport_->flush(slot);
}

void worker::issue(std::size_t slot, clock::time_point now) {
  connection& own = connections_[slot];
  times_of(slot, own.session.requested()) = {.intended = pace().issue(own.own, now), .sent = now};
  own.session.request();
  ++in_flight_;
  if (reconnects_) start_connect(slot, now);
}

// Takes in hand what is due by now: some of it at a time, so that replies are read however much that is.
void worker::release_due(clock::time_point now) {
  for (std::size_t i = 0; i < releases_at_a_time; ++i) {
    const auto [due, index] = pace().next();
    if (due > now || due >= plan_.stop) break;
    const std::size_t slot = first_ + index;
    pace().release();
    connection& own = connections_[slot];
    if (plan_.open_loop()) own.counted.due += recorder_.is_recorded();
    if (own.status == state::failed) {
      recorder_.dropped(plan_.target, drop(own));
      continue;
    }
    const auto taken = clock::now();
    if (plan_.open_loop()) recorder_.released(due, taken, pipeline_full(own));
    refill(slot, taken);
  }
}

// Reads a little of what slow readers were sent, and sees that there is always more to send.
void worker::throttled_read(clock::time_point now) {
  next_throttled_read_ = now + (table_.count(role::slow) > 0 ? throttle_interval : nanoseconds(24h));
  for (std::size_t i = 0; i < table_.count(role::slow); ++i) {
    const std::size_t slot = table_.slot(role::slow, plan_.target, i);
    connection& own = connections_[slot];
    if (own.status != state::open) continue;
    if (!own.session.has_pending()) {
      for (std::uint64_t k = 0; k < slow_requests; ++k) own.session.request();
      transport_->flush(slot);
    }
    const auto bytes =
        load_.slow_read_rate * static_cast<std::uint64_t>(throttle_interval.count()) / 1'000'000'000;
    transport_->receive(slot, std::max<std::uint64_t>(bytes, 1));
  }
}

// What the transport asks and tells.

std::span<const std::byte> worker::pending(std::size_t slot, std::span<std::byte> scratch) noexcept {
  return connections_[slot].session.pending(scratch);
}

void worker::taken(std::size_t slot, std::size_t n) noexcept {
  connections_[slot].session.sent(n);
  if (is_measured(connections_[slot])) time_.now().bytes_out += n;
}

void worker::on_kernel_times(std::size_t, clock::time_point sent, clock::time_point received) {
  kernel_sent_ = sent;
  kernel_received_ = received;
}

void worker::on_bytes(std::size_t slot, std::span<const std::byte> bytes) {
  const auto now = clock::now();
  connection& own = connections_[slot];
  const auto first = own.session.replied();
  const auto [replies, found] = own.session.received(bytes);
  if (time_.driving()) time_.advance_to(now);
  if (is_measured(own)) time_.now().bytes_in += bytes.size();
  if (own.its == role::active) {
    for (auto sequence = first; sequence < first + replies; ++sequence) {
      complete(own, times_of(slot, sequence), messages_.operation_of(own.session.connection(), sequence),
               now);
    }
  }
  if (found != client_session::finding::good) return fail(slot, kind_of(found));
  if (replies == 0 || own.its != role::active) return;
  if (reconnects_) {
    transport_->abort(slot);
    own.status = state::closed;
    own.session.restart();
  }
  refill(slot, now);
}

void worker::complete(connection& own, const request_times& request, std::uint32_t operation,
                      clock::time_point now) {
  --in_flight_;
  part_counts& part = time_.now();
  ++part.requests;
  part.service += now - request.sent;
  own.counted.replies += recorder_.is_recorded();
  const auto counts = recorder_.replied(request, operation, now);
  if (load_.accuracy) recorder_.timed(request, kernel_sent_, kernel_received_, now);
  if (recorder_.is_recorded()) {
    part.slowest = std::max<nanoseconds>(part.slowest, counts);
    own.counted.longest = std::max<nanoseconds>(own.counted.longest, counts);
  }
  pace().answered(own.own, now);
}

void worker::on_end(std::size_t slot) { fail(slot, load_error::short_reply); }

void worker::on_error(std::size_t slot, int error) {
  const bool connecting = connections_[slot].status == state::connecting;
  fail(slot, connecting ? kind_of_connect_error(error) : load_error::reset, error);
}

// A failed connection is not replaced: the load would no longer be the one that was asked for.
void worker::fail(std::size_t slot, load_error kind, int error) {
  connection& own = connections_[slot];
  recorder_.failed(own.target, {.kind = kind,
                                .error = error,
                                .at = clock::now() - origin_,
                                .connection = table_.number_of(slot),
                                .request = own.session.replied(),
                                .reply_bytes = own.session.reply_offset(),
                                .idle = own.its == role::idle});
  if (own.status == state::connecting && is_kept(own)) --in_flight_;
  if (own.its == role::active) {
    in_flight_ -= own.session.outstanding();
    recorder_.dropped(own.target, drop(own));
    --live_[own.target];
  }
  own.session.restart();
  own.status = state::failed;
  transport_->close(slot);
}

std::uint64_t worker::drop(connection& own) noexcept {
  closed_[own.target]->drop(own.own);
  return open_[own.target]->drop(own.own);
}

connection_counts worker::take_counts(std::size_t slot) noexcept {
  const bool opened = connections_[slot].counted.opened;
  return std::exchange(connections_[slot].counted, {.opened = opened});
}

// Fails what was asked before that moment and not answered, and says when to look again.
void worker::give_up(clock::time_point sent_before) {
  const bool all = !time_.driving();  // connecting
  for (std::size_t slot = all ? 0 : first_; slot < (all ? connections_.size() : last_); ++slot) {
    connection& own = connections_[slot];
    const bool connecting = own.status == state::connecting;
    if (!connecting && (own.its != role::active || own.session.outstanding() == 0)) continue;
    const auto since = connecting ? own.connect_started : times_of(slot, own.session.replied()).sent;
    if (since >= sent_before) continue;
    if (recorder_.is_recorded())
      own.counted.longest = std::max<nanoseconds>(own.counted.longest, clock::now() - since);
    fail(slot, load_error::timeout);
  }
  const auto now = clock::now();
  next_sweep_ = now + std::clamp<nanoseconds>(load_.timeout / 16, 1ms, 250ms);
  if (!time_.driving()) return;
  std::uint64_t requests = 0;
  for (const auto& part : time_.counts().parts) requests += part.requests;
  progress_.store(requests, std::memory_order_relaxed);
}

// Until the first events or `until`, and handles the events. A worker that must not miss a due time sleeps
// less, by twice what its sleeps have lasted too long, and polls the rest; one that must never sleep polls
// all the time.
void worker::wait_until(clock::time_point until) {
  const bool driving = time_.driving();
  const bool punctual = driving && pace().next().due != clock::time_point::max();
  auto now = clock::now();
  const auto wanted = until - now - (punctual ? margin_ : 0ns);
  if (!(load_.busy_poll && driving) && (!punctual || wanted > 0ns)) {
    const nanoseconds sleep = std::max<nanoseconds>(wanted, 0ns);
    const auto slept = transport_->wait(sleep);
    if (driving) time_.now().blocked += slept;
    if (slept > sleep) margin_ = std::clamp<nanoseconds>(2 * (slept - sleep), margin_, longest_margin);
    margin_ = std::max<nanoseconds>(margin_ - margin_ / 256, shortest_margin);
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
