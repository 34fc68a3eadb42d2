// Asio with callbacks: an io_context for each thread; a connection's next step is the function that its last
// one named.
#include "servers/serving/asio_serving.hpp"
#include "servers/variants.hpp"

#include <memory>

namespace echobench {
namespace {

class connection : public asio_connection, public std::enable_shared_from_this<connection> {
public:
  using asio_connection::asio_connection;

  void serve() {
    if (const auto request = take_deferred()) {
      carry_out(*request);
    } else if (!session_.pending().empty()) {
      send();
    } else if (!session_.finished()) {
      receive();
    } else if (begin_linger()) {
      linger();
    }
  }

private:
  void receive() {
    await_request();
    socket_.async_wait(asio_socket::wait_read, [self = shared_from_this()](error_code error) {
      if (self->failed(error)) return;
      self->receive_available();
      self->serve();
    });
  }

  void send() {
    const auto bytes = session_.pending();
    socket_.async_send(asio::buffer(bytes.data(), bytes.size()),
                       [self = shared_from_this()](error_code error, std::size_t n) {
                         self->sent(n);
                         if (!self->failed(error)) self->serve();
                       });
  }

  void carry_out(const deferred_request& request) {
    if (request.what == deferred_request::kind::sleep) {
      timer_.expires_after(request.duration);
      timer_.async_wait([self = shared_from_this()](error_code error) { self->carried_out(error); });
    } else if (request.offload) {
      burn_elsewhere(request, [self = shared_from_this()] { self->carried_out({}); });
    } else {
      burn(request);
      carried_out({});
    }
  }

  void carried_out(error_code error) {
    if (failed(error)) return;
    complete_deferred();
    serve();
  }

  void linger() {
    timer_.async_wait([self = shared_from_this()](error_code error) {
      error_code ignored;
      if (!error) self->socket_.cancel(ignored);
    });
    discard();
  }

  void discard() {
    socket_.async_wait(asio_socket::wait_read, [self = shared_from_this()](error_code error) {
      if (!error && self->discard_available()) {
        self->discard();
      } else {
        self->timer_.cancel();
      }
    });
  }
};

class asio_callback_server {
public:
  static constexpr std::string_view name = "asio-callback";
  static constexpr std::string_view summary = "Boost.Asio, callbacks, an io_context for each thread";
  static constexpr clients holds = clients::any;
  static std::string_view unavailable_reason() { return ""; }

  explicit asio_callback_server(const server_options& options)
      : options_(options), listeners_(options, options.threads) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_totals run(const std::stop_token& stop) {
    return run_asio_loops(options_, listeners_, stop, [](asio_loop& loop) {
      for (asio_listener& listener : loop.listeners) accept(loop, listener);
    });
  }

private:
  static void accept(asio_loop& loop, asio_listener& listener) {
    if (loop.full()) return accept_later(loop, listener);
    listener.acceptor.async_accept([&](error_code error, asio_socket socket) {
      if (loop.stopping()) return;
      if (!error) std::make_shared<connection>(std::move(socket), loop)->serve();
      loop.lacks(error) ? accept_later(loop, listener) : accept(loop, listener);
    });
  }

  static void accept_later(asio_loop& loop, asio_listener& listener) {
    listener.timer.expires_after(accept_pause);
    listener.timer.async_wait([&](error_code) {
      if (!loop.stopping()) accept(loop, listener);
    });
  }

  server_options options_;
  listener_set listeners_;
};

}  // namespace

const variant variants::asio_callback = describe<asio_callback_server>();

}  // namespace echobench
