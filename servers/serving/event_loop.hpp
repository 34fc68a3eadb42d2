// One thread's loop, whatever it waits with: its connections, their timers, pauses in accepting, connections
// that other threads hand back, and stopping.
#pragma once

#include "servers/serving/acceptor.hpp"
#include "servers/serving/return_queue.hpp"
#include "servers/serving/timers.hpp"

#include <boost/intrusive/list.hpp>

#include <algorithm>
#include <memory>

namespace echobench {

// What a loop keeps for each connection.
struct loop_connection : boost::intrusive::list_base_hook<>, timer {
  loop_connection(unique_fd accepted, const shared_by_loops& shared, buffer_pool& pool)
      : socket(std::move(accepted)), state(shared.options.connection, pool, shared.drain) {}

  unique_fd socket;
  connection_state state;
  bool handed_out = false;  // another thread has it
};

// Connection: a loop_connection, and what a model adds. All is called on the loop's thread, except
// hand_back().
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
  // Loop `index`: it closes the listeners of that loop when the server stops. References must outlive it.
  event_loop(shared_by_loops& shared, unsigned index, buffer_pool& pool)
      : shared_(shared),
        listeners_(shared.listeners.of_loop(index)),
        acceptor_(shared.connections, listeners_),
        totals_(shared.totals != nullptr ? *shared.totals : own_totals_),
        index_(index),
        pool_(pool),
        on_stop_(shared.stop, wake_) {}
  ~event_loop() = default;

  // ---- what a model defines

  // Something has happened to the connection: takes its next steps, up to one that must wait.
  virtual void take_steps(Connection& conn) = 0;
  // The server stops, and so does the connection.
  virtual void stop(Connection& conn) = 0;
  // Accepting begins again after a pause; or it ends, before listeners are closed.
  virtual void go_on_accepting() = 0;
  virtual void end_accepting() = 0;

  // ---- what a model calls

  bool draining() const noexcept { return draining_; }
  bool over() const noexcept { return draining_ && connections_.empty(); }

  // Until when the loop may wait. `never`: until something is reported.
  clock::time_point wake_at() const {
    auto until = std::min(acceptor_.paused_until(), timers_.earliest());
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
    while (Connection* conn = timers_.take_due(now)) {
      if (conn->handed_out) {
        timers_.set(*conn, now + accept_pause);
      } else {
        conn->state.time_passed();
        take_steps(*conn);
      }
    }
    if (acceptor_.paused_until() <= now) {
      acceptor_.resume();
      go_on_accepting();
    }
    if (!draining_ && shared_.stop.stop_requested()) begin_draining();
    if (draining_ && shared_.drain.expired()) abort_all();
  }

  // An accepted connection, which the limit on connections has admitted (acceptor, connection_count).
  Connection& admit(unique_fd socket) {
    ++totals_.accepted;
    connections_.push_back(*new Connection(std::move(socket), shared_, pool_));
    return connections_.back();
  }
  void remove(Connection& conn) {
    conn.state.add_to(totals_);
    connections_.erase_and_dispose(connections_.iterator_to(conn), std::default_delete<Connection>());
    shared_.connections.remove();
    acceptor_.end_pause();
  }

  // The connection waits: from now on for its deadline, too.
  void follow(Connection& conn) { timers_.follow(conn, conn.state.deadline()); }

  // The connection's next step is to work: a thread of the offload pool does that.
  void work_elsewhere(Connection& conn) {
    conn.handed_out = true;
    shared_.offload.submit([this, &conn] {
      conn.state.burn();
      hand_back(conn);
    });
  }
  // From any thread, which must not use the connection any more. If its next step is to work, that is done.
  void hand_back(Connection& conn) { return_queue_.push(conn); }

  shared_by_loops& shared_;
  const std::vector<unique_fd>& listeners_;
  acceptor acceptor_;
  wake_event wake_;  // readable when something came back, or the server stops
  server_totals& totals_;

private:
  void take_back() {
    wake_.clear();
    for (Connection* conn : return_queue_.take()) {
      conn->handed_out = false;
      if (conn->state.next() == step::work) conn->state.carried_out();
      if (draining_) stop(*conn);
      take_steps(*conn);
    }
  }

  void begin_draining() {
    draining_ = true;
    acceptor_.resume();
    end_accepting();
    shared_.listeners.close(index_);
    for_each_here([this](Connection& conn) { stop(conn); });
  }
  void abort_all() {
    for_each_here([](Connection& conn) { conn.state.abort(); });
  }

  template <class Function>
  void for_each_here(Function function) {
    for (auto next = connections_.begin(); next != connections_.end();) {
      Connection& conn = *next++;
      if (conn.handed_out) continue;
      function(conn);
      take_steps(conn);
    }
  }

  unsigned index_;
  server_totals own_totals_;
  buffer_pool& pool_;
  boost::intrusive::list<Connection> connections_;
  timers<Connection> timers_;
  bool draining_ = false;
  return_queue<Connection> return_queue_{wake_};
  wake_on_stop on_stop_;
};

}  // namespace echobench
