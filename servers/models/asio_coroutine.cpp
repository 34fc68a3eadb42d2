// Asio with C++20 coroutines: an io_context for each thread; a connection's code reads like that of a
// blocking server.
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace echobench {
namespace {

template <class Result>
using awaitable = asio::awaitable<Result, asio_executor>;

// An error is a value, so that a peer that leaves unwinds no exception.
constexpr auto as_value = asio::as_tuple(asio::deferred);

template <asio_sending How>
class connection : public asio_connection<asio_executor> {
public:
  using asio_connection::asio_connection;

  awaitable<void> serve() {
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
          if (How == asio_sending::adaptive && sends_at_once()) break;
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
};

template <asio_sending How>
class loop : public asio_loop<asio_executor> {
public:
  static constexpr std::string_view name = How == asio_sending::textbook ? "asio-coroutine-textbook"
                                           : asio_on_io_uring            ? "asio-coroutine-uring"
                                                                         : "asio-coroutine";
  static constexpr std::string_view summary =
      How == asio_sending::textbook ? "asio-coroutine as the textbook has it: each reply by async_send"
      : asio_on_io_uring ? "Boost.Asio on io_uring, C++20 coroutines, an io_context for each thread"
                         : "Boost.Asio, C++20 coroutines, an io_context for each thread";
  static std::string_view unavailable_reason() { return asio_unavailable_reason(); }

  loop(shared_by_loops& shared, unsigned index) : asio_loop(shared, index) {
    for (auto& listener : listeners) {
      asio::co_spawn(context, accept(listener), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);  // out of run(): nothing would accept any more
      });
    }
  }

private:
  awaitable<void> accept(asio_listener<asio_executor>& listener) {
    while (!stopping()) {
      if (!full()) {
        auto [error, socket] = co_await listener.acceptor.async_accept(as_value);
        if (stopping()) co_return;
        if (!error) {
          const auto conn = admit<connection<How>>(std::move(socket));
          asio::co_spawn(context, conn->serve(), [conn](const std::exception_ptr&) {});
        }
        if (!lacks(error)) continue;
      }
      listener.timer.expires_after(accept_pause);
      co_await listener.timer.async_wait(as_value);
    }
  }
};

}  // namespace

const variant variants::asio_coroutine = describe<server_of_loops<loop<asio_sending::adaptive>>>();
const variant variants::asio_coroutine_textbook = describe<server_of_loops<loop<asio_sending::textbook>>>();

}  // namespace echobench
