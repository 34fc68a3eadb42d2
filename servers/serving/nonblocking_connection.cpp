#include "servers/serving/nonblocking_connection.hpp"

#include "servers/serving/session_io.hpp"

#include <cerrno>

namespace echobench {

nonblocking_connection::nonblocking_connection(unique_fd socket, const server_options& options,
                                               buffer_pool& pool, const drain_clock& drain, work where)
    : socket_(std::move(socket)),
      drain_(drain),
      session_(options.session, pool),
      idle_timeout_(options.idle_timeout),
      where_(where) {
  touch();
}

nonblocking_connection::wait nonblocking_connection::advance() {
  switch (phase_) {
    case phase::open: return waits_for_ == wait::writable ? proceed() : receive();
    case phase::deferred: return waits_for_;
    case phase::lingering: break;
  }
  return discard_input(fd()) == discarded::end ? wait::nothing : wait::readable;
}

nonblocking_connection::wait nonblocking_connection::due() {
  if (clock::now() < deadline_) return waits_for_;
  switch (phase_) {
    case phase::open: return fail(server_error::idle_timeout);
    case phase::deferred: return complete();
    case phase::lingering: break;
  }
  return wait::nothing;
}

nonblocking_connection::wait nonblocking_connection::complete() {
  phase_ = phase::open;
  session_.complete_deferred();
  touch();
  return proceed();
}

nonblocking_connection::wait nonblocking_connection::drain() {
  const std::size_t readable = bytes_readable(fd());
  session_.finish_after(readable);
  if (phase_ != phase::open || waits_for_ == wait::writable) return waits_for_;
  return readable > 0 ? receive() : proceed();
}

void nonblocking_connection::burn() const {
  burn_cpu(work_, [this] { return drain_.expired(); });
}

nonblocking_connection::wait nonblocking_connection::receive() {
  const ssize_t n = receive_into(session_, fd());
  if (n < 0 && !may_try_again(errno)) return fail(server_error::reset);
  if (n > 0) touch();
  return proceed();
}

// Sends, carries out, ends: whatever needs no new input.
nonblocking_connection::wait nonblocking_connection::proceed() {
  for (;;) {
    while (!session_.pending().empty()) {
      const auto bytes = session_.pending();
      const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        session_.sent(static_cast<std::size_t>(n));
        touch();
      } else if (errno == EAGAIN) {
        return waits_for_ = wait::writable;
      } else if (errno != EINTR) {
        return fail(server_error::reset);
      }
    }
    if (const auto request = session_.take_deferred()) {
      phase_ = phase::deferred;
      if (request->what == deferred_request::kind::sleep) {
        deadline_ = clock::now() + request->duration;
        return waits_for_ = wait::time;
      }
      deadline_ = never;
      work_ = request->duration;
      if (request->offload || where_ == work::offloaded) return waits_for_ = wait::offload;
      burn();
      phase_ = phase::open;
      session_.complete_deferred();
      touch();
      if (session_.has_input()) return waits_for_ = wait::writable;  // others first, before it may work again
    } else if (session_.finished()) {
      if (session_.peer_has_finished()) return wait::nothing;
      ::shutdown(fd(), SHUT_WR);
      phase_ = phase::lingering;
      deadline_ = clock::now() + linger_time;
      session_.park();
      return waits_for_ = wait::readable;
    } else {
      session_.park();
      return waits_for_ = wait::readable;
    }
  }
}

nonblocking_connection::wait nonblocking_connection::fail(server_error error) noexcept {
  error_ = error;
  return wait::nothing;
}

void nonblocking_connection::touch() noexcept {
  deadline_ = idle_timeout_.count() > 0 ? clock::now() + idle_timeout_ : never;
}

void nonblocking_connection::add_to(server_totals& totals) const noexcept {
  session_.add_to(totals);
  if (error_) totals.count(*error_);
}

}  // namespace echobench
