// One thread's loop, whatever it waits with: connections, timers, pauses in accepting, connections that other
// threads hand back, and the end.
#pragma once

#include "servers/serving/return_queue.hpp"
#include "servers/serving/server_loops.hpp"
#include "servers/serving/timers.hpp"

#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <memory>

namespace echobench {

// What a loop knows of each connection.
struct loop_connection : boost::intrusive::list_base_hook<>, timer {
  loop_connection(unique_fd accepted, const shared_by_loops& shared, buffer_pool& pool)
      : socket(std::move(accepted)), state(shared.options.connection, pool, shared.drain) {}

  unique_fd socket;
  connection_state state;
  bool handed_out = false;  // another thread has it
};

// Connection: a loop_connection, and what a model adds. On the loop's thread, but for hand_back().
template <class Connection>
class event_loop {
public:
  using clock = connection_state::clock;
  using step = connection_state::step;

  event_loop(const event_loop&) = delete;
  event_loop& operator=(const event_loop&) = delete;

  // When the loop has ended.
  const server_totals& totals() const noexcept { return totals_; }

protected:
  // Of loop `index`, whose listeners it closes when the server stops. References must outlive it.
  event_loop(shared_by_loops& shared, unsigned index, buffer_pool& pool)
      : shared_(shared),
        listeners_(shared.listeners.of_loop(index)),
        index_(index),
        pool_(pool),
        on_stop_(shared.stop, wake_) {}
  ~event_loop() = default;

  // ---- what is the model's

  // Something has happened to the connection: takes its next steps, as far as that needs no waiting.
  virtual void take_steps(Connection& who) = 0;
  // The server stops, and so does the connection.
  virtual void stop(Connection& who) = 0;
  // Accepting begins again after a pause; or it ends, before listeners are closed.
  virtual void go_on_accepting() = 0;
  virtual void end_accepting() = 0;

  // ---- what the model calls

  bool draining() const noexcept { return draining_; }
  bool over() const noexcept { return draining_ && connections_.empty(); }

  // How long the loop may wait. `never`: until it is told something.
  clock::time_point wake_at() const {
    auto until = std::min(accept_at_, timers_.earliest());
    if (draining_) {
      until =
          std::min(until, shared_.drain.expired() ? clock::now() + accept_pause : shared_.drain.deadline());
    }
    return until;
  }

  // After each wait: attends to timers, pauses and the end; when woken, to what was handed back.
  void attend(bool woken) {
    if (woken) take_back();
    if (wake_at() == connection_state::never && !shared_.stop.stop_requested()) return;
    const auto now = clock::now();
    while (Connection* who = timers_.take_due(now)) {
      if (who->handed_out) {
        timers_.set(*who, now + accept_pause);
      } else {
        who->state.time_passed();
        take_steps(*who);
      }
    }
    if (accept_at_ <= now) {
      accept_at_ = connection_state::never;
      go_on_accepting();
    }
    if (!draining_ && shared_.stop.stop_requested()) begin_draining();
    if (draining_ && shared_.drain.expired()) abort_all();
  }

  // No connection for a while: there are as many as may be, or resources lack.
  bool full() const noexcept { return shared_.connections.full(); }
  void pause_accepting() { accept_at_ = draining_ ? connection_state::never : clock::now() + accept_pause; }
  bool accepting_pauses() const noexcept { return accept_at_ != connection_state::never; }

  Connection& admit(unique_fd socket) {
    ++totals_.accepted;
    shared_.connections.add();
    connections_.push_back(*new Connection(std::move(socket), shared_, pool_));
    return connections_.back();
  }
  void remove(Connection& who) {
    who.state.add_to(totals_);
    connections_.erase_and_dispose(connections_.iterator_to(who), std::default_delete<Connection>());
    shared_.connections.remove();
    if (accepting_pauses()) accept_at_ = clock::now();
  }

  // What it waits for is awaited: now for its deadline, too.
  void follow(Connection& who) { timers_.follow(who); }

  // Its next step is to work, and a thread of the offload pool is to do that.
  void work_elsewhere(Connection& who) {
    who.handed_out = true;
    shared_.offload.submit([this, &who] {
      who.state.burn();
      hand_back(who);
    });
  }
  // From any thread, which lets go of it. If its next step is to work, that is done.
  void hand_back(Connection& who) { return_queue_.push(who); }

  shared_by_loops& shared_;
  const std::vector<unique_fd>& listeners_;
  wake_event wake_;  // readable when something came back, or the server stops
  server_totals totals_;

private:
  void take_back() {
    wake_.clear();
    for (Connection* who : return_queue_.take()) {
      who->handed_out = false;
      if (who->state.next() == step::work) who->state.carried_out();
      if (draining_) stop(*who);
      take_steps(*who);
    }
  }

  void begin_draining() {
    draining_ = true;
    accept_at_ = connection_state::never;
    end_accepting();
    shared_.listeners.close(index_);
    for_each_here([this](Connection& who) { stop(who); });
  }
  void abort_all() {
    for_each_here([](Connection& who) { who.state.abort(); });
  }

  template <class Function>
  void for_each_here(Function tell) {
    for (auto next = connections_.begin(); next != connections_.end();) {
      Connection& who = *next++;
      if (who.handed_out) continue;
      tell(who);
      take_steps(who);
    }
  }

  unsigned index_;
  buffer_pool& pool_;
  boost::intrusive::list<Connection> connections_;
  timers<Connection> timers_;
  clock::time_point accept_at_ = connection_state::never;  // accepting has paused until then
  bool draining_ = false;
  return_queue<Connection> return_queue_{wake_};
  wake_on_stop on_stop_;
};

}  // namespace echobench
