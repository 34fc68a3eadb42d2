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
      !set_.control_all(EPOLL_CTL_ADD, listeners_, EPOLLIN | EPOLLONESHOT, this)) {
    throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }
}

std::span<const epoll_event> shared_loop::wait(std::span<epoll_event> room) {
  clock::time_point until;
  {
    const std::lock_guard lock(mutex_);
    until = std::min(acceptor_.paused_until(), timers_.earliest());
    if (draining_) {
      until =
          std::min(until, shared_.drain.expired() ? clock::now() + accept_pause : shared_.drain.deadline());
    }
    wait_until_ = until;
    ++waiting_;
  }
  const auto reports = set_.wait(room, until);
  --waiting_;
  return reports;
}

void shared_loop::take(std::span<const epoll_event> reports) {
  bool acceptable = false;
  for (const epoll_event& report : reports) {
    if (report.data.ptr == &wake_) {
      wake_.clear();
    } else if (report.data.ptr == this) {
      acceptable = true;
    } else {
      ready(*static_cast<connection*>(report.data.ptr));
    }
  }
  attend();
  if (acceptable) accept_available();
}

void shared_loop::attend() {
  if (wait_until_.load() == connection_state::never && !shared_.stop.stop_requested()) return;
  const auto now = clock::now();
  const auto take_due = [&] {
    const std::lock_guard lock(mutex_);
    return timers_.take_due(now);
  };
  while (connection* due = take_due()) ready(*due);
  if (acceptor_.paused_until() <= now) resume_accepting();
  if (!draining_ && shared_.stop.stop_requested()) begin_draining();
  if (draining_ && shared_.drain.expired()) all_ready();
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
  {
    const std::lock_guard lock(mutex_);
    totals_.count(server_error::accept);
  }
  remove(conn);
  return false;
}

void shared_loop::follow(connection& conn) {
  const auto deadline = conn.state->deadline();
  if (deadline == connection_state::never) return;
  const std::lock_guard lock(mutex_);
  timers_.follow(conn, deadline);
  if (deadline >= wait_until_.load()) return;
  wait_until_ = deadline;
  if (waiting_ > 0) wake();
}

void shared_loop::admit(unique_fd socket) {
  connection* conn = nullptr;
  {
    const std::lock_guard lock(mutex_);
    ++totals_.accepted;
    conn = unused_ != nullptr ? std::exchange(unused_, unused_->next_unused) : &connections_.emplace_back();
  }
  ++open_;
  conn->socket = std::move(socket);
  conn->state.emplace(shared_.options.connection, pool_, shared_.drain);
  conn->is = status::served;
  if (wait_for_next(*conn) && !release(*conn)) carry_on(*conn);
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
    conn.next_unused = std::exchange(unused_, &conn);
  }
  shared_.connections.remove();
  const bool room = acceptor_.pauses();
  acceptor_.end_pause();
  const bool last = --open_ == 0 && draining_;
  if (room || last) wake();
}

// ---- accepting

void shared_loop::accept_available() {
  const std::lock_guard accepts(accepting_);
  if (draining_ || acceptor_.pauses()) return;
  server_totals failures;
  const bool goes_on =
      acceptor_.accept_available(failures, [this](unique_fd socket) { admit(std::move(socket)); });
  if (goes_on) watch_listeners();
  const std::lock_guard lock(mutex_);
  totals_ += failures;
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
  wake();
}

// While the server stops: there are no new ones.
void shared_loop::all_ready() {
  for (connection& conn : connections_) {
    if (conn.is != status::unused) ready(conn);
  }
}

}  // namespace echobench
