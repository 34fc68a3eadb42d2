// Asio with C++20 coroutines: an io_context for each thread; or one that all threads run, where a coroutine
// stays on its strand.
//
// A connection takes the same steps as that of thread_per_connection.cpp (connection_state.hpp) and differs
// in how it waits: there the kernel suspends the thread, with its stack; here co_await suspends the function,
// whose locals are on the heap, and the thread runs another's.
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace echobench {
namespace {

using step = connection_state::step;

// An error is a value, so that a peer that leaves unwinds no exception.
constexpr auto as_value = asio::as_tuple(asio::deferred);

template <class Executor, asio_sending How>
class connection : public asio_connection<Executor> {
  using base = asio_connection<Executor>;

public:
  using base::base, base::state;

  asio::awaitable<void, Executor> serve() {
    for (;;) {
      switch (next()) {
        case step::receive: {
          const auto space = state.space();
          const auto [error, n] =
              co_await socket_.async_read_some(asio::buffer(space.data(), space.size()), as_value);
          received(error, n);
          break;
        }
        case step::send: {
          if (How == asio_sending::tuned && sends_at_once()) break;
          const auto bytes = state.pending();
          const auto [error, n] =
              co_await socket_.async_send(asio::buffer(bytes.data(), bytes.size()), as_value);
          sent(error, n);
          break;
        }
        case step::work:
          if (state.offloads()) {
            co_await asio::async_initiate<decltype(asio::deferred), void()>(
                [this](auto resume) { burn_elsewhere(std::move(resume)); }, asio::deferred);
          } else {
            state.burn();
          }
          state.carried_out();
          break;
        case step::sleep:
          timer_.expires_at(state.deadline());
          co_await timer_.async_wait(as_value);
          slept();
          break;
        case step::end_sending: end_sending(); break;
        case step::close: co_return;
      }
    }
  }

private:
  using base::burn_elsewhere, base::socket_, base::timer_;
  using base::next, base::received, base::sent, base::slept, base::end_sending, base::sends_at_once;
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
    asio::co_spawn(listener->acceptor.get_executor(), accept_clients(listener), rethrow);
  }

  asio::awaitable<void, Executor> accept_clients(listener_pointer listener) {
    while (!stopping()) {
      if (places_are_limited())
        co_await listener->acceptor.async_wait(listener->acceptor.wait_read, as_value);
      while (must_wait(*listener)) co_await listener->timer.async_wait(as_value);
      auto [error, socket] = co_await listener->acceptor.async_accept(new_executor(), as_value);
      if (accepted(*listener, error)) serve(*listener, std::move(socket));
    }
  }

  void serve(asio_listener<Executor>& listener, asio_socket<Executor> socket) {
    const auto conn = base::template admit<connection<Executor, How>>(listener, std::move(socket));
    asio::co_spawn(conn->executor(), conn->serve(),
                   [conn](const std::exception_ptr& error) { rethrow(error); });
  }
};

struct plain final : loop<asio_executor, asio_sending::plain> {
  static constexpr description about{
      .name = asio_on_io_uring ? "asio-coroutine-uring" : "asio-coroutine",
      .summary = asio_on_io_uring
                     ? "Boost.Asio on io_uring, patched; C++20 coroutines, an io_context for each thread"
                     : "Boost.Asio, C++20 coroutines, an io_context for each thread",
      .family = model_family::coroutines,
      .waits = asio_waits,
      .threads = asio_threads,
      .colour = asio_on_io_uring ? "#6e1c4f" : "#bf3989",
      .remark = asio_remark};
  using loop::loop;
};

}  // namespace

#ifdef ECHOBENCH_ASIO_ON_IO_URING
const variant variants::asio_coroutine_uring = describe<server_of_loops<plain>>();
#else
namespace {

struct tuned final : loop<asio_executor, asio_sending::tuned> {
  static constexpr description about{
      .name = "asio-coroutine-tuned",
      .summary = "asio-coroutine that sends a single reply by send(2) instead of async_send",
      .family = model_family::coroutines,
      .waits =
          "an `io_context`, but a single reply is sent by `send(2)`, which nobody writes: saves 3 to 6 % if "
          "requests come singly",
      .threads = asio_threads,
      .colour = "#ffb3dd"};
  using loop::loop;
};

struct shared final : loop<asio_strand, asio_sending::plain> {
  static constexpr description about{
      .name = "asio-coroutine-shared",
      .summary = "Boost.Asio, C++20 coroutines, one io_context for all threads, strands",
      .family = model_family::coroutines,
      .waits = "one `io_context`; a strand keeps a connection's steps apart",
      .threads = "N threads that run it",
      .colour = "#ff80c8"};
  using loop::loop;
};

}  // namespace

const variant variants::asio_coroutine = describe<server_of_loops<plain>>();
const variant variants::asio_coroutine_tuned = describe<server_of_loops<tuned>>();
const variant variants::asio_coroutine_shared = describe<server_of_loops<shared>>();
#endif

}  // namespace echobench
