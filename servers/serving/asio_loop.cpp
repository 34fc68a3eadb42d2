#include "servers/serving/asio_loop.hpp"

#ifdef ECHOBENCH_ASIO_ON_IO_URING
#include "common/uring_setup.hpp"
#endif

namespace echobench {

std::string_view asio_unavailable_reason() {
#ifdef ECHOBENCH_ASIO_ON_IO_URING
  constexpr unsigned entries = 16'384;  // as Asio's ring has
  static const std::string reason = why_no_ring(entries, {});
  return reason;
#else
  return "";
#endif
}

template <class Executor>
asio_connection<Executor>::asio_connection(asio_socket<Executor> socket, asio_loop<Executor>& loop)
    : state(loop.shared_.options.connection, loop.pool_, loop.shared_.drain),
      loop_(loop),
      socket_(std::move(socket)),
      timer_(socket_.get_executor()) {}

template <class Executor>
asio_connection<Executor>::~asio_connection() {  // NOLINT(bugprone-exception-escape)
  loop_.left(*this);
}

template <class Executor>
void asio_connection<Executor>::end_sending() {
  error_code ignored;
  socket_.shutdown(asio_socket<Executor>::shutdown_send, ignored);
  state.sending_ended();
}

template <class Executor>
void asio_connection<Executor>::follow_deadline() {
  const auto deadline = state.deadline();
  const bool ours = deadline != connection_state::never && state.next() != step::sleep;
  if (ours && deadline > watched_until_) return;
  if (watched_until_ != connection_state::never) timer_.cancel();
  watched_until_ = connection_state::never;
  if (!ours) return;
  timer_.expires_at(deadline);
  timer_.async_wait([this, self = this->shared_from_this()](error_code error) {
    if (error) return;
    watched_until_ = connection_state::never;
    state.time_passed();
    if (state.next() == step::close) {
      interrupt();
    } else {
      follow_deadline();
    }
  });
  watched_until_ = deadline;
}

template <class Executor>
void asio_connection<Executor>::interrupt() {
  error_code ignored;
  socket_.cancel(ignored);
  timer_.cancel();
}

template <class Executor>
asio_loop<Executor>::asio_loop(shared_by_loops& shared, unsigned index)
    : shared_(shared),
      pool_(one_for_all_threads ? buffer_pool::use::many_threads : buffer_pool::use::one_thread,
            [this] { return reserve(shared_.connections.live()); }),
      context(one_for_all_threads ? static_cast<int>(shared.options.threads) : 1) {
  for (unique_fd& listener : shared.listeners.take(index)) {
    const auto protocol =
        endpoint::local_of(listener.get()).family() == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
    listeners_.emplace_back(new_executor(), protocol, std::move(listener));
  }
  stopped_.async_wait(asio::posix::descriptor_base::wait_read, [this](error_code error) {
    if (!error) begin_draining();
  });
}

template <class Executor>
asio_loop<Executor>::~asio_loop() {
  draining_ = false;  // or connections that end with the context would cancel a dead timer
  listeners_.clear();
  stopped_.release();
}

template <class Executor>
void asio_loop<Executor>::run() {
  for (auto pause = 0 * accept_pause; !context.stopped(); pause = accept_pause) {
    try {
      context.run_for(pause);
      begin_accepting();
      context.run();
    } catch (const std::bad_alloc&) {  // a connection has ended; or accepting, which begins anew
      const std::lock_guard lock(mutex_);
      totals_.count(server_error::accept);
    }
  }
}

// Where that has not begun or has ended.
template <class Executor>
void asio_loop<Executor>::begin_accepting() {
  if (stopping()) return begin_draining();
  for (asio_listener<Executor>& listener : listeners_) {
    asio::dispatch(listener.acceptor.get_executor(), [this, &listener] {
      if (stopping() || !listener.weak_from_this().expired()) return;
      {
        const std::lock_guard lock(mutex_);
        give_up_place(listener);
      }
      accept(std::shared_ptr<asio_listener<Executor>>(&listener, [](auto*) {}));
    });
  }
}

template <class Executor>
bool asio_loop<Executor>::must_wait(asio_listener<Executor>& listener) {
  const std::lock_guard lock(mutex_);
  listener.pauses = false;
  if (stopping()) return false;
  if (std::exchange(listener.failed, false)) {
    listener.pauses = true;
  } else if (!has_memory_for_client()) {
    listener.pauses = true;
    if (connection_waits(listener.acceptor.native_handle())) totals_.count(server_error::accept);
  } else if (!listener.has_place) {
    listener.has_place = shared_.connections.try_add();
    listener.pauses = !listener.has_place;
  }
  if (listener.pauses) listener.timer.expires_after(accept_pause);
  return listener.pauses;
}

template <class Executor>
bool asio_loop<Executor>::accepted(asio_listener<Executor>& listener, error_code error) {
  const std::lock_guard lock(mutex_);
  if (stopping()) return false;
  const bool turned_away = !error && !has_memory_for_client();
  if (!error && !turned_away) return true;
  give_up_place(listener);
  listener.failed = turned_away || accept_must_pause(error.value());
  if (turned_away || (listener.failed && connection_waits(listener.acceptor.native_handle()))) {
    totals_.count(server_error::accept);
  }
  return false;
}

template <class Executor>
void asio_loop<Executor>::give_up_place(asio_listener<Executor>& listener) noexcept {
  if (std::exchange(listener.has_place, false)) shared_.connections.remove();
}

// An attempt writes behind the memory that it tries, and that page stays: the memory of all connections is
// tried for each 64 of them, not for each.
template <class Executor>
bool asio_loop<Executor>::has_memory_for_client() noexcept {
  constexpr std::size_t more = 64;
  if (const std::size_t live = shared_.connections.live(); live >= reserved_for_) {
    if (!can_allocate(buffer_pool::large_size + reserve(live + more))) return false;
    reserved_for_ = live + more;
  }
  return can_allocate(reserve(0));
}

template <class Executor>
template <class Function>
void asio_loop<Executor>::post_to_all(Function function) {
  for (asio_connection<Executor>& conn : connections_) {
    if (auto self = conn.weak_from_this().lock()) {  // or it is about to leave
      asio::post(conn.executor(), [self = std::move(self), function] { function(*self); });
    }
  }
}

template <class Executor>
void asio_loop<Executor>::begin_draining() {
  for (asio_listener<Executor>& listener : listeners_) {
    asio::post(listener.acceptor.get_executor(), [&listener] {
      error_code ignored;
      listener.acceptor.close(ignored);
      listener.timer.cancel();
    });
  }
  const std::lock_guard lock(mutex_);
  draining_ = true;
  if (!connections_.empty()) watch_end();
  post_to_all([](asio_connection<Executor>& conn) {
    error_code ignored;
    if (conn.state.next() == connection_state::step::receive) conn.socket_.cancel(ignored);
  });
}

// Connections that do not end when they are aborted, whatever the reason, are left behind.
template <class Executor>
void asio_loop<Executor>::watch_end() {
  const auto& drain = shared_.drain;
  end_.expires_at(drain.expired() ? connection_state::clock::now() + accept_pause : drain.deadline());
  end_.async_wait([this](error_code error) {
    const std::lock_guard lock(mutex_);
    if (error || connections_.empty()) return;
    if (std::exchange(aborted_, true)) return context.stop();
    watch_end();
    post_to_all([](asio_connection<Executor>& conn) {
      conn.state.abort();
      conn.interrupt();
    });
  });
}

template <class Executor>
server_totals asio_loop<Executor>::totals() {
  server_totals all = totals_;
  for (asio_connection<Executor>& conn : connections_) {  // left behind
    conn.state.abort();
    conn.state.add_to(all);
  }
  return all;
}

template <class Executor>
void asio_loop<Executor>::joined(asio_connection<Executor>& conn, asio_listener<Executor>& listener) {
  const std::lock_guard lock(mutex_);
  listener.has_place = false;  // it is the connection's now
  ++totals_.accepted;
  connections_.push_back(conn);
  if (draining_) watch_end();
}

template <class Executor>
void asio_loop<Executor>::left(asio_connection<Executor>& conn) {
  const std::lock_guard lock(mutex_);
  conn.state.add_to(totals_);
  connections_.erase(connections_.iterator_to(conn));
  shared_.connections.remove();
  for (asio_listener<Executor>& listener : listeners_) {
    if (listener.pauses) end_pause(listener);
  }
  if (draining_ && connections_.empty()) end_.cancel();
}

// With mutex_ locked: dispatched, it might run what waits for that.
template <class Executor>
void asio_loop<Executor>::end_pause(asio_listener<Executor>& listener) noexcept {
  try {
    asio::post(listener.acceptor.get_executor(), [&listener] { listener.timer.cancel(); });
  } catch (const std::bad_alloc&) {  // it ends by itself
  }
}

template class asio_connection<asio_executor>;
template class asio_connection<asio_strand>;
template class asio_loop<asio_executor>;
template class asio_loop<asio_strand>;

}  // namespace echobench
