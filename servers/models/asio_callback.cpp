// Asio with callbacks: a connection's next step is the callback that its last operation was given. An
// io_context for each thread; or one that all threads run, where a strand keeps a connection's steps apart.
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

using step = connection_state::step;

template <class Executor, asio_sending How>
class connection : public asio_connection<Executor> {
  using base = asio_connection<Executor>;

public:
  using base::base, base::state;

  void serve() {
    switch (next()) {
      case step::receive: return receive();
      case step::send: return How == asio_sending::tuned && sends_at_once() ? serve() : send();
      case step::work: return work();
      case step::sleep: return sleep();
      case step::end_sending: end_sending(); return serve();
      case step::close: return;
    }
  }

private:
  using base::burn_elsewhere, base::shared_from_this, base::socket_, base::timer_;
  using base::next, base::received, base::sent, base::slept, base::end_sending, base::sends_at_once;

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

template <class Executor, asio_sending How>
class loop : public asio_loop<Executor> {
  using base = asio_loop<Executor>;

public:
  using base::base;

private:
  using base::accepted, base::must_wait, base::new_executor, base::places_are_limited, base::stopping;
  using listener_pointer = std::shared_ptr<asio_listener<Executor>>;

  void accept(listener_pointer listener) override {
    if (!places_are_limited()) return accept_one(listener);
    listener->acceptor.async_wait(asio_acceptor<Executor>::wait_read,
                                  [this, listener](error_code) { accept_one(listener); });
  }

  void accept_one(const listener_pointer& listener) {
    if (must_wait(*listener)) {
      return listener->timer.async_wait([this, listener](error_code) { accept_one(listener); });
    }
    if (stopping()) return;
    listener->acceptor.async_accept(new_executor(),
                                    [this, listener](error_code error, asio_socket<Executor> socket) {
                                      if (accepted(*listener, error)) serve(*listener, std::move(socket));
                                      if (!stopping()) accept(listener);
                                    });
  }

  void serve(asio_listener<Executor>& listener, asio_socket<Executor> socket) {
    const auto conn = base::template admit<connection<Executor, How>>(listener, std::move(socket));
    asio::dispatch(conn->executor(), [conn] { conn->serve(); });
  }
};

struct plain final : loop<asio_executor, asio_sending::plain> {
  static constexpr description about{
      .name = asio_on_io_uring ? "asio-callback-uring" : "asio-callback",
      .summary = asio_on_io_uring
                     ? "Boost.Asio on io_uring, patched; callbacks, an io_context for each thread"
                     : "Boost.Asio, callbacks, an io_context for each thread",
      .family = model_family::callbacks,
      .waits = asio_waits,
      .threads = asio_threads,
      .colour = asio_on_io_uring ? "#0a3069" : "#0969da",
      .remark = asio_remark};
  using loop::loop;
};

}  // namespace

#ifdef ECHOBENCH_ASIO_ON_IO_URING
const variant variants::asio_callback_uring = describe<server_of_loops<plain>>();
#else
namespace {

struct tuned final : loop<asio_executor, asio_sending::tuned> {
  static constexpr description about{
      .name = "asio-callback-tuned",
      .summary = "asio-callback that sends a single reply by send(2) instead of async_send",
      .family = model_family::callbacks,
      .waits =
          "an `io_context`, but a single reply is sent by `send(2)`, which nobody writes: saves 3 to 6 % if "
          "requests come singly",
      .threads = asio_threads,
      .colour = "#80ccff"};
  using loop::loop;
};

struct shared final : loop<asio_strand, asio_sending::plain> {
  static constexpr description about{
      .name = "asio-callback-shared",
      .summary = "Boost.Asio, callbacks, one io_context for all threads, strands",
      .family = model_family::callbacks,
      .waits = "one `io_context`; a strand keeps a connection's steps apart",
      .threads = "N threads that run it",
      .colour = "#54aeff"};
  using loop::loop;
};

}  // namespace

const variant variants::asio_callback = describe<server_of_loops<plain>>();
const variant variants::asio_callback_tuned = describe<server_of_loops<tuned>>();
const variant variants::asio_callback_shared = describe<server_of_loops<shared>>();
#endif

}  // namespace echobench
