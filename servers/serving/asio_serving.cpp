#include "servers/serving/asio_serving.hpp"

#include "servers/serving/session_io.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <cerrno>
#include <utility>

namespace echobench {

using std::chrono::steady_clock;

asio_connection::asio_connection(asio_socket socket, asio_loop& loop)
    : loop_(loop),
      socket_(std::move(socket)),
      timer_(loop.context),
      session_(loop.options.session, loop.pool) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  loop_.joined(*this);
  touch();
}

asio_connection::~asio_connection() {  // NOLINT(bugprone-exception-escape)
  session_.add_to(loop_.totals);
  if (error_) loop_.totals.count(*error_);
  loop_.left(*this);
}

void asio_connection::drain() {
  const std::size_t readable = bytes_readable(socket_.native_handle());
  session_.finish_after(readable);
  error_code ignored;
  if (phase_ == phase::awaiting_request && readable == 0) socket_.cancel(ignored);
}

void asio_connection::abort(server_error why) {
  if (!error_ && !session_.finished()) error_ = why;
  phase_ = phase::closed;
  error_code ignored;
  socket_.close(ignored);
  timer_.cancel();
}

void asio_connection::await_request() {
  session_.park();
  if (phase_ == phase::serving) phase_ = phase::awaiting_request;
}

// Draining may have ended the session meanwhile; then nothing is received.
void asio_connection::receive_available() {
  const ssize_t n = receive_into(session_, socket_.native_handle());
  if (n > 0) touch();
  if (n < 0 && !may_try_again(errno)) abort(server_error::reset);
}

void asio_connection::sent(std::size_t n) {
  session_.sent(n);
  touch();
}

std::optional<deferred_request> asio_connection::take_deferred() {
  auto request = session_.take_deferred();
  if (request) phase_ = phase::carrying_out;
  return request;
}

void asio_connection::complete_deferred() {
  session_.complete_deferred();
  touch();
}

void asio_connection::burn(const deferred_request& work) const {
  burn_cpu(work.duration, [this] { return loop_.drain.expired(); });
}

// Not by asio::thread_pool: its constructor does not return when only some of its threads can be started.
void asio_connection::burn_elsewhere(const deferred_request& work, std::function<void()> done) {
  loop_.offload.submit(
      [this, work, done = std::move(done), loop = asio::make_work_guard(loop_.context)]() mutable {
        burn(work);
        asio::post(loop.get_executor(), std::exchange(done, nullptr));  // which may end the connection
      });
}

bool asio_connection::failed(error_code error) {
  if (phase_ == phase::closed) return true;
  phase_ = phase::serving;
  if (!error || (error == asio::error::operation_aborted && loop_.stopping())) return false;
  error_ = server_error::reset;
  return true;
}

bool asio_connection::begin_linger() {
  if (session_.peer_has_finished()) return false;
  session_.park();
  phase_ = phase::lingering;
  error_code ignored;
  socket_.shutdown(asio_socket::shutdown_send, ignored);
  timer_.expires_after(linger_time);
  return true;
}

bool asio_connection::discard_available() {
  return phase_ != phase::closed && steady_clock::now() < timer_.expiry() &&
         discard_input(socket_.native_handle()) == discarded::more;
}

void asio_connection::touch() {
  if (loop_.options.idle_timeout.count() == 0) return;
  last_active_ = steady_clock::now();
  auto& all = loop_.connections_;
  all.splice(all.end(), all, all.iterator_to(*this));
}

asio_loop::asio_loop(const server_options& server, listener_set& listening, unsigned index,
                     connection_count& count, const drain_clock& draining, offload_pool& offloading)
    : options(server), drain(draining), offload(offloading), count_(count) {
  for (unique_fd& listener : listening.take(index)) {
    const auto protocol =
        endpoint::local_of(listener.get()).family() == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
    listeners.push_back({asio_acceptor(context, protocol, listener.release()), asio_timer(context)});
  }
  if (options.idle_timeout.count() > 0) close_idle();
}

void asio_loop::run(const std::stop_token& stop) {
  const std::stop_callback on_stop(stop, [this] { asio::post(context, [this] { begin_draining(); }); });
  context.run();
}

bool asio_loop::lacks(error_code error) {
  const bool lacking = error && accept_must_pause(error.value());
  if (lacking) totals.count(server_error::accept);
  return lacking;
}

// Closes what has been idle for too long, and looks again when the next one may be. What is carrying
// something out does not idle, and begins anew when it is done.
void asio_loop::close_idle() {
  const auto now = steady_clock::now();
  auto oldest = now;
  for (asio_connection& who : connections_) {
    if (who.last_active() > now - options.idle_timeout) {
      oldest = who.last_active();
      break;
    }
    if (who.idles()) who.abort(server_error::idle_timeout);
  }
  watch_.expires_at(oldest + options.idle_timeout);
  watch_.async_wait([this](error_code) {
    if (!draining_) close_idle();
  });
}

void asio_loop::begin_draining() {
  draining_ = true;
  for (asio_listener& listener : listeners) {
    error_code ignored;
    listener.acceptor.close(ignored);
    listener.timer.cancel();
  }
  for (asio_connection& who : connections_) who.drain();
  if (connections_.empty()) {
    watch_.cancel();
    return;
  }
  watch_.expires_at(drain.deadline());
  watch_.async_wait([this](error_code) {
    for (asio_connection& who : connections_) who.abort(server_error::drain_timeout);
  });
}

void asio_loop::joined(asio_connection& who) {
  ++totals.accepted;
  count_.add();
  connections_.push_back(who);
}

void asio_loop::left(asio_connection& who) {
  connections_.erase(connections_.iterator_to(who));
  count_.remove();
  if (draining_ && connections_.empty()) watch_.cancel();
}

}  // namespace echobench
