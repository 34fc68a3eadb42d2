// Asio with callbacks: one io_context that all threads run; a strand keeps a connection's handlers apart.
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class connection : public asio_connection<asio_strand> {
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

class loop : public asio_loop<asio_strand> {
public:
  static constexpr std::string_view name = "asio-callback-shared";
  static constexpr std::string_view summary =
      "Boost.Asio, callbacks, one io_context for all threads, strands";
  static std::string_view unavailable_reason() { return ""; }

  loop(shared_by_loops& shared, unsigned index) : asio_loop(shared, index) {
    for (auto& listener : listeners) accept(listener);
  }

private:
  void accept(asio_listener<asio_strand>& listener) {
    if (full()) return accept_later(listener);
    listener.acceptor.async_accept(new_executor(), [&](error_code error, asio_socket<asio_strand> socket) {
      if (stopping()) return;
      if (!error) begin(admit<connection>(std::move(socket)));
      lacks(error) ? accept_later(listener) : accept(listener);
    });
  }

  static void begin(std::shared_ptr<connection> conn) {
    asio::post(conn->executor(), [conn] { conn->serve(); });
  }

  void accept_later(asio_listener<asio_strand>& listener) {
    listener.timer.expires_after(accept_pause);
    listener.timer.async_wait([&](error_code) {
      if (!stopping()) accept(listener);
    });
  }
};

}  // namespace

const variant variants::asio_callback_shared = describe<server_of_loops<loop>>();

}  // namespace echobench
