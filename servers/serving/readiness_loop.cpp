#include "servers/serving/readiness_loop.hpp"

#include "servers/serving/nonblocking.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace echobench {

readiness_loop::readiness_loop(shared_by_loops& shared, unsigned index, buffer_pool& pool)
    : shared_(shared),
      listeners_(shared.listeners.of_loop(index)),
      index_(index),
      pool_(pool),
      on_stop_(shared.stop, signaller{&wake_}) {}

void readiness_loop::work_elsewhere(connection& who) {
  shared_.offload.submit([this, &who] {
    who.life.burn();
    hand_back(who);
  });
}

void readiness_loop::begin_accepting() {
  if (!open_accepting()) throw std::system_error(errno, std::system_category(), "watching a listener");
}

// Until the next alarm, the end of draining, or the end of a pause in accepting.
readiness_loop::clock::time_point readiness_loop::wake_at() const {
  auto until = std::min(accept_at_, alarms_.earliest());
  if (draining_) {
    until = std::min(until, shared_.drain.expired() ? clock::now() + accept_pause : shared_.drain.deadline());
  }
  return until;
}

void readiness_loop::accept_available() {
  if (!accepting_) return;
  constexpr int at_once = 128;  // then the connections that exist have their turn
  for (const unique_fd& listener : listeners_) {
    for (int i = 0; i < at_once; ++i) {
      if (shared_.connections.full()) return pause_accepting();
      unique_fd socket = accept_connection(listener.get(), accepted_socket::non_blocking);
      if (!socket) {
        if (!accept_must_pause(errno)) break;
        totals_.count(server_error::accept);
        return pause_accepting();
      }
      ++totals_.accepted;
      shared_.connections.add();
      connections_.push_back(*new connection(std::move(socket), shared_, pool_));
      resume(connections_.back());
    }
  }
}

void readiness_loop::serve(connection& who) {
  receive_available(who.life, who.socket.get());
  if (who.life.next() == step::work && works_itself(who)) {  // once; then others have their turn
    who.life.burn();
    who.life.carried_out();
  }
  advance(who.life, who.socket.get());
  resume(who);
}

void readiness_loop::resume(connection& who) {
  interest wanted = interest::nothing;
  switch (who.life.next()) {
    case step::receive:
      who.life.park();
      wanted = interest::readable;
      break;
    case step::send: wanted = interest::writable; break;
    case step::work:
      if (!works_itself(who)) {
        hand_out(who);
        return work_elsewhere(who);
      }
      wanted = interest::writable;  // at once
      break;
    case step::sleep:  // or a peer that resets meanwhile would be reported without end
    case step::end_sending: break;
    case step::close: return destroy(who);
  }
  if (wanted != who.watched && !watch(who, wanted)) {
    totals_.count(server_error::accept);
    return destroy(who);
  }
  who.watched = wanted;
  alarms_.follow(who);
}

void readiness_loop::hand_out(connection& who) {
  who.handed_out = true;
  if (who.watched != interest::nothing) watch(who, interest::nothing);
  who.watched = interest::nothing;
}

void readiness_loop::attend(bool woken) {
  if (woken) {
    wake_.clear();
    take_back();
  }
  call_due();
  if (!draining_ && shared_.stop.stop_requested()) begin_draining();
  if (draining_ && shared_.drain.expired()) abort_all();
}

bool readiness_loop::open_accepting() {
  accepting_ = true;
  accept_at_ = connection_life::never;
  return watch_listeners(true);
}

void readiness_loop::pause_accepting() {
  watch_listeners(false);
  accepting_ = false;
  accept_at_ = clock::now() + accept_pause;
}

void readiness_loop::destroy(connection& who) {
  forget(who);
  who.life.add_to(totals_);
  connections_.erase_and_dispose(connections_.iterator_to(who), std::default_delete<connection>());
  shared_.connections.remove();
  if (!accepting_ && !draining_) accept_at_ = clock::now();
}

void readiness_loop::take_back() {
  for (connection* who : handed_back_.take()) {
    who->handed_out = false;
    if (who->life.next() == step::work) who->life.carried_out();
    if (draining_) who->life.stop(bytes_readable(who->socket.get()));
    advance(who->life, who->socket.get());
    resume(*who);
  }
}

void readiness_loop::call_due() {
  if (alarms_.earliest() == connection_life::never && accept_at_ == connection_life::never) return;
  const auto now = clock::now();
  while (connection* who = alarms_.take_due(now)) {
    if (who->handed_out) {
      alarms_.set(*who, now + accept_pause);
      continue;
    }
    who->life.time_passed();
    advance(who->life, who->socket.get());
    resume(*who);
  }
  if (!draining_ && accept_at_ <= now) {
    open_accepting() ? accept_available() : pause_accepting();
  }
}

void readiness_loop::begin_draining() {
  draining_ = true;
  accept_at_ = connection_life::never;
  if (accepting_) watch_listeners(false);
  accepting_ = false;
  shared_.listeners.close(index_);
  for (auto next = connections_.begin(); next != connections_.end();) {
    connection& who = *next++;
    if (who.handed_out) continue;
    who.life.stop(bytes_readable(who.socket.get()));
    advance(who.life, who.socket.get());
    resume(who);
  }
}

void readiness_loop::abort_all() {
  for (auto next = connections_.begin(); next != connections_.end();) {
    connection& who = *next++;
    if (who.handed_out) continue;
    who.life.abort();
    destroy(who);
  }
}

}  // namespace echobench
