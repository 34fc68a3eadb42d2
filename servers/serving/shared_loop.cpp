#include "servers/serving/shared_loop.hpp"

#include "servers/serving/nonblocking.hpp"

namespace echobench {

using status = shared_connection::status;

shared_loop::shared_loop(shared_by_loops& shared, unsigned index, offloaded_work offloaded)
    : shared_(shared),
      listeners_(shared.listeners.of_loop(index)),
      index_(index),
      offloads_(offloaded == offloaded_work::to_offload_pool),
      acceptor_(shared.connections, listeners_) {
  if (!set_.control(EPOLL_CTL_ADD, wake_.fd(), EPOLLIN, &wake_) ||
      !set_.control(EPOLL_CTL_ADD, timer_.fd(), EPOLLIN | EPOLLET, &timer_) ||
      !set_.control_all(EPOLL_CTL_ADD, listeners_, EPOLLIN | EPOLLONESHOT, this)) {
    throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }
}

void shared_loop::take(std::span<const epoll_event> reports) {
  bool acceptable = false;
  bool attends = false;
  for (const epoll_event& report : reports) {
    if (report.data.ptr == &wake_) {
      wake_.clear();
      attends = true;
    } else if (report.data.ptr == &timer_) {
      attends = true;
    } else if (report.data.ptr == this) {
      acceptable = true;
    } else {
      ready(*static_cast<connection*>(report.data.ptr));
    }
  }
  if (attends) attend();
  if (acceptable) accept_available();
}

// Its last step sets the timer anew, whatever the others have changed.
void shared_loop::attend() {
  if (acceptor_.paused_until() <= clock::now()) resume_accepting();
  if (!draining_ && shared_.stop.stop_requested()) begin_draining();
  if (draining_ && shared_.drain.expired()) all_ready();
  while (connection* due = take_due()) ready(*due);
}

// While this thread serves the connection, another one is woken for the next.
shared_loop::connection* shared_loop::take_due() {
  const std::lock_guard lock(mutex_);
  connection* due = timers_.take_due(clock::now());
  set_timer();
  return due;
}

// With mutex_ locked.
void shared_loop::set_timer() noexcept {
  auto at = std::min(acceptor_.paused_until(), timers_.earliest());
  if (draining_) {
    at = std::min(at, shared_.drain.expired() ? clock::now() + accept_pause : shared_.drain.deadline());
  }
  if (at != std::exchange(timer_at_, at) || at <= clock::now()) timer_.set(at);
}

// ---- a connection

void shared_loop::serve(connection& conn) {
  if (claim(conn)) carry_on(conn);
}

// True if nobody serves the connection: this thread does from now on. A thread that serves it looks at it
// again.
bool shared_loop::claim(connection& conn) noexcept {
  auto was = conn.is.load();
  while (was == status::waits || was == status::served) {
    const auto becomes = was == status::waits ? status::served : status::served_again;
    if (conn.is.compare_exchange_weak(was, becomes)) return was == status::waits;
  }
  return false;
}

// False if this thread is to look at the connection again.
bool shared_loop::release(connection& conn) noexcept {
  auto was = status::served;
  if (conn.is.compare_exchange_strong(was, status::waits)) return true;
  conn.is = status::served;
  return false;
}

void shared_loop::carry_on(connection& conn) {
  while (take_steps(conn) && !release(conn)) {
  }
}

// False if this thread does not have the connection any more.
bool shared_loop::take_steps(connection& conn) {
  connection_state& state = *conn.state;
  const int socket = conn.socket.get();
  if (draining_) state.stop(bytes_readable(socket));
  if (draining_ && shared_.drain.expired()) state.abort();
  state.time_passed();
  receive_available(state, socket);
  advance(state, socket);
  if (state.next() == step::work) {  // once; then the others come
    if (offloads_ && state.offloads()) {
      shared_.offload.submit([this, &conn] {
        conn.state->burn();
        conn.state->carried_out();
        carry_on(conn);
      });
      return false;
    }
    state.burn();
    state.carried_out();
    advance(state, socket);
  }
  return wait_for_next(conn);
}

// False if the connection has ended.
bool shared_loop::wait_for_next(connection& conn) {
  const step next = conn.state->next();
  if (next == step::close) {
    remove(conn);
    return false;
  }
  follow(conn);
  if (next == step::sleep) return true;
  if (next == step::receive) conn.state->park();
  const std::uint32_t events = next == step::receive ? EPOLLIN : EPOLLOUT;  // for work: reported at once
  const int operation = std::exchange(conn.in_set, true) ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (set_.control(operation, conn.socket.get(), events | EPOLLONESHOT, &conn)) return true;
  conn.state->turned_away();
  remove(conn);
  return false;
}

void shared_loop::follow(connection& conn) {
  const auto deadline = conn.state->deadline();
  if (deadline == connection_state::never) return;
  const std::lock_guard lock(mutex_);
  timers_.follow(conn, deadline);
  if (deadline < timer_at_) set_timer();
}

// Null: the connection waits, or has ended. Otherwise this thread has it, and is to carry on with it.
shared_loop::connection* shared_loop::admit(unique_fd socket) {
  connection* conn = nullptr;
  {
    const std::lock_guard lock(mutex_);
    ++totals_.accepted;
    conn = unused_ != nullptr ? std::exchange(unused_, unused_->next) : &connections_.emplace_back();
  }
  ++open_;
  conn->socket = std::move(socket);
  conn->state.emplace(shared_.options.connection, pool_, shared_.drain);
  conn->is = status::served;
  return wait_for_next(*conn) && !release(*conn) ? conn : nullptr;
}

void shared_loop::remove(connection& conn) {
  conn.socket.reset();
  conn.in_set = false;
  {
    const std::lock_guard lock(mutex_);
    timers_.set(conn, connection_state::never);
    conn.state->add_to(totals_);
    conn.state.reset();
    conn.is = status::unused;
    conn.next = std::exchange(unused_, &conn);
    shared_.connections.remove();
    if (acceptor_.pauses()) {
      acceptor_.end_pause();
      set_timer();
    }
  }
  if (--open_ == 0 && draining_) wake();
}

// ---- accepting

void shared_loop::accept_available() {
  connection* served = nullptr;  // those that something has happened to already: when others can accept
  {
    const std::lock_guard accepts(accepting_);
    if (draining_ || acceptor_.pauses()) return;
    server_totals failures;
    const auto admitted = [&](unique_fd socket) {
      if (connection* conn = admit(std::move(socket))) conn->next = std::exchange(served, conn);
    };
    if (acceptor_.accept_available(failures, admitted)) watch_listeners();
    const std::lock_guard lock(mutex_);
    totals_ += failures;
    if (acceptor_.pauses()) set_timer();
  }
  while (served != nullptr) carry_on(*std::exchange(served, served->next));
}

void shared_loop::resume_accepting() {
  const std::lock_guard accepts(accepting_);
  if (draining_ || !acceptor_.pauses()) return;
  acceptor_.resume();
  watch_listeners();
}

// They are reported once: only then a single thread is woken.
void shared_loop::watch_listeners() noexcept {
  if (!set_.control_all(EPOLL_CTL_MOD, listeners_, EPOLLIN | EPOLLONESHOT, this)) acceptor_.pause();
}

// ---- stopping

void shared_loop::begin_draining() {
  {
    const std::lock_guard accepts(accepting_);
    if (draining_) return;
    acceptor_.resume();
    shared_.listeners.close(index_);
    draining_ = true;
  }
  all_ready();
}

// While the server stops: there are no new ones.
void shared_loop::all_ready() {
  for (connection& conn : connections_) {
    if (conn.is != status::unused) ready(conn);
  }
}

}  // namespace echobench
