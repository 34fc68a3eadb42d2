// Asio with callbacks: an io_context for each thread; a connection's next step is the callback that its last
// operation was given. Replying as textbooks do costs 6 % more when requests come singly (asio_loop.hpp).
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

template <asio_sending How>
class connection : public asio_connection<asio_executor> {
public:
  using asio_connection::asio_connection;

  void serve() {
    switch (next()) {
      case step::receive: return receive();
      case step::send: return How == asio_sending::adaptive && sends_at_once() ? serve() : send();
      case step::work: return work();
      case step::sleep: return sleep();
      case step::end_sending: end_sending(); return serve();
      case step::close: return;
    }
  }

private:
  void receive() {
    const auto space = state.space();
    socket_.async_read_some(asio::buffer(space.data(), space.size()),
                            [this, self = shared_from_this()](error_code error, std::size_t n) {
                              received(error, n);
                              serve();
                            });
  }

  void send() {
    const auto bytes = state.pending();
    socket_.async_send(asio::buffer(bytes.data(), bytes.size()),
                       [this, self = shared_from_this()](error_code error, std::size_t n) {
                         sent(error, n);
                         serve();
                       });
  }

  void work() {
    if (state.offloads()) {
      burn_elsewhere([this, self = shared_from_this()] { worked(); });
    } else {
      state.burn();
      worked();
    }
  }

  void worked() {
    state.carried_out();
    serve();
  }

  void sleep() {
    timer_.expires_at(state.deadline());
    timer_.async_wait([this, self = shared_from_this()](error_code) {
      slept();
      serve();
    });
  }
};

template <asio_sending How>
class loop : public asio_loop<asio_executor> {
public:
  static constexpr std::string_view name = How == asio_sending::textbook ? "asio-callback-textbook"
                                           : asio_on_io_uring            ? "asio-callback-uring"
                                                                         : "asio-callback";
  static constexpr std::string_view summary =
      How == asio_sending::textbook ? "asio-callback as the textbook has it: each reply by async_send"
      : asio_on_io_uring            ? "Boost.Asio on io_uring, callbacks, an io_context for each thread"
                                    : "Boost.Asio, callbacks, an io_context for each thread";
  static std::string_view unavailable_reason() { return asio_unavailable_reason(); }

  loop(shared_by_loops& shared, unsigned index) : asio_loop(shared, index) {
    for (auto& listener : listeners) accept(listener);
  }

private:
  void accept(asio_listener<asio_executor>& listener) {
    if (full()) return accept_later(listener);
    listener.acceptor.async_accept([&](error_code error, asio_socket<asio_executor> socket) {
      if (stopping()) return;
      if (!error) admit<connection<How>>(std::move(socket))->serve();
      lacks(error) ? accept_later(listener) : accept(listener);
    });
  }

  void accept_later(asio_listener<asio_executor>& listener) {
    listener.timer.expires_after(accept_pause);
    listener.timer.async_wait([&](error_code) {
      if (!stopping()) accept(listener);
    });
  }
};

}  // namespace

const variant variants::asio_callback = describe<server_of_loops<loop<asio_sending::adaptive>>>();
const variant variants::asio_callback_textbook = describe<server_of_loops<loop<asio_sending::textbook>>>();

}  // namespace echobench
