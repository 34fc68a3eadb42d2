// Asio with C++20 coroutines: one io_context that all threads run; a coroutine stays on its strand.
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
using awaitable = asio::awaitable<Result, asio_strand>;

// An error is a value, so that a peer that leaves unwinds no exception.
constexpr auto as_value = asio::as_tuple(asio::deferred);

class connection : public asio_connection<asio_strand> {
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

class loop : public asio_loop<asio_strand> {
public:
  static constexpr std::string_view name = "asio-coroutine-shared";
  static constexpr std::string_view summary =
      "Boost.Asio, C++20 coroutines, one io_context for all threads, strands";
  static std::string_view unavailable_reason() { return ""; }

  loop(shared_by_loops& shared, unsigned index) : asio_loop(shared, index) {
    for (auto& listener : listeners) {
      asio::co_spawn(listener.acceptor.get_executor(), accept(listener), [](const std::exception_ptr& error) {
        if (error) std::rethrow_exception(error);  // out of run(): nothing would accept any more
      });
    }
  }

private:
  awaitable<void> accept(asio_listener<asio_strand>& listener) {
    while (!stopping()) {
      if (!full()) {
        auto [error, socket] = co_await listener.acceptor.async_accept(new_executor(), as_value);
        if (stopping()) co_return;
        if (!error) {
          const auto conn = admit<connection>(std::move(socket));
          asio::co_spawn(conn->executor(), conn->serve(), [conn](const std::exception_ptr&) {});
        }
        if (!lacks(error)) continue;
      }
      listener.timer.expires_after(accept_pause);
      co_await listener.timer.async_wait(as_value);
    }
  }
};

}  // namespace

const variant variants::asio_coroutine_shared = describe<server_of_loops<loop>>();

}  // namespace echobench
