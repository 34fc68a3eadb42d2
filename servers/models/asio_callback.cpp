// Asio with callbacks: an io_context for each thread; a connection's next step is the function that its last
// one named.
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

#include <memory>

namespace echobench {
namespace {

class connection : public asio_connection, public std::enable_shared_from_this<connection> {
public:
  using asio_connection::asio_connection;

  void serve() {
    switch (next()) {
      case step::receive: return receive();
      case step::send: return send();
      case step::work: return work();
      case step::sleep: return sleep();
      case step::end_sending: end_sending(); return serve();
      case step::close: return;
    }
  }

private:
  void receive() {
    const auto space = life.space();
    socket_.async_read_some(asio::buffer(space.data(), space.size()),
                            [self = shared_from_this()](error_code error, std::size_t n) {
                              self->received(error, n);
                              self->serve();
                            });
  }

  void send() {
    const auto bytes = life.pending();
    socket_.async_send(asio::buffer(bytes.data(), bytes.size()),
                       [self = shared_from_this()](error_code error, std::size_t n) {
                         self->sent(error, n);
                         self->serve();
                       });
  }

  void work() {
    if (life.offloads()) {
      burn_elsewhere([self = shared_from_this()] { self->worked(); });
    } else {
      life.burn();
      worked();
    }
  }

  void worked() {
    life.carried_out();
    serve();
  }

  void sleep() {
    timer_.expires_at(life.deadline());
    timer_.async_wait([self = shared_from_this()](error_code) {
      self->slept();
      self->serve();
    });
  }
};

class loop : public asio_loop {
public:
  static constexpr std::string_view name = "asio-callback";
  static constexpr std::string_view summary = "Boost.Asio, callbacks, an io_context for each thread";
  static std::string_view unavailable_reason() { return ""; }

  loop(shared_by_loops& shared, unsigned index) : asio_loop(shared, index) {
    for (asio_listener& listener : listeners) accept(listener);
  }

private:
  void accept(asio_listener& listener) {
    if (full()) return accept_later(listener);
    listener.acceptor.async_accept([&](error_code error, asio_socket socket) {
      if (stopping()) return;
      if (!error) std::make_shared<connection>(std::move(socket), *this)->serve();
      lacks(error) ? accept_later(listener) : accept(listener);
    });
  }

  void accept_later(asio_listener& listener) {
    listener.timer.expires_after(accept_pause);
    listener.timer.async_wait([&](error_code) {
      if (!stopping()) accept(listener);
    });
  }
};

}  // namespace

const variant variants::asio_callback = describe<server_of_loops<loop>>();

}  // namespace echobench
