#include "servers/serving/asio_loop.hpp"

#include <algorithm>

namespace echobench {

asio_connection::asio_connection(asio_socket socket, asio_loop& loop)
    : life(loop.shared_.options.connection, loop.pool_, loop.shared_.drain),
      loop_(loop),
      socket_(std::move(socket)),
      timer_(loop.context) {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  loop_.joined(*this);
}

asio_connection::~asio_connection() {  // NOLINT(bugprone-exception-escape)
  life.add_to(loop_.totals_);
  loop_.left(*this);
}

void asio_connection::end_sending() {
  error_code ignored;
  socket_.shutdown(asio_socket::shutdown_send, ignored);
  life.sending_ended();
}

void asio_connection::interrupt() {
  error_code ignored;
  socket_.cancel(ignored);
  timer_.cancel();
}

asio_loop::asio_loop(shared_by_loops& shared, unsigned index) : shared_(shared) {
  for (unique_fd& listener : shared.listeners.take(index)) {
    const auto protocol =
        endpoint::local_of(listener.get()).family() == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4();
    listeners.push_back({asio_acceptor(context, protocol, listener.release()), asio_timer(context)});
  }
}

void asio_loop::run() {
  const std::stop_callback on_stop(shared_.stop,
                                   [this] { asio::post(context, [this] { begin_draining(); }); });
  context.run();
}

bool asio_loop::lacks(error_code error) {
  const bool lacking = error && accept_must_pause(error.value());
  if (lacking) totals_.count(server_error::accept);
  return lacking;
}

void asio_loop::follow(asio_connection& who) {
  alarms_.follow(who);
  if (alarms_.earliest() < watched_until_) watch_alarms();
}

void asio_loop::watch_alarms() {
  watched_until_ = alarms_.earliest();
  if (draining_) {
    const auto end =
        shared_.drain.expired() ? connection_life::clock::now() + accept_pause : shared_.drain.deadline();
    watched_until_ = std::min(watched_until_, end);
  }
  watch_.expires_at(watched_until_);
  watch_.async_wait([this](error_code error) {
    if (!error) ring();
  });
}

void asio_loop::ring() {
  const auto now = connection_life::clock::now();
  while (asio_connection* who = alarms_.take_due(now)) {
    who->life.time_passed();
    if (who->life.next() == asio_connection::step::close) {
      who->interrupt();
    } else {
      alarms_.follow(*who);
    }
  }
  if (draining_ && shared_.drain.expired()) {
    for (asio_connection& who : connections_) {
      who.life.abort();
      who.interrupt();
    }
  }
  watched_until_ = connection_life::never;
  if (draining_ ? !connections_.empty() : alarms_.earliest() != connection_life::never) watch_alarms();
}

void asio_loop::begin_draining() {
  draining_ = true;
  for (asio_listener& listener : listeners) {
    error_code ignored;
    listener.acceptor.close(ignored);
    listener.timer.cancel();
  }
  if (connections_.empty()) {
    watch_.cancel();
    return;
  }
  for (asio_connection& who : connections_) {
    error_code ignored;
    if (who.life.next() == asio_connection::step::receive) who.socket_.cancel(ignored);
  }
  watch_alarms();
}

void asio_loop::joined(asio_connection& who) {
  ++totals_.accepted;
  shared_.connections.add();
  connections_.push_back(who);
}

void asio_loop::left(asio_connection& who) {
  connections_.erase(connections_.iterator_to(who));
  shared_.connections.remove();
  if (draining_ && connections_.empty()) watch_.cancel();
}

}  // namespace echobench
