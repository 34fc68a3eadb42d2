// Asio with C++20 coroutines: an io_context for each thread; a connection reads like the blocking one.
#include "servers/serving/asio_serving.hpp"
#include "servers/variants.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>

namespace echobench {
namespace {

using asio::experimental::awaitable_operators::operator||;  // NOLINT(misc-unused-using-decls): used below
template <class Result>
using awaitable = asio::awaitable<Result, asio_executor>;

// An error is a value, so that a peer that leaves unwinds no exception.
constexpr auto as_value = asio::as_tuple(asio::deferred);
constexpr asio::use_awaitable_t<asio_executor> as_awaitable_result;
constexpr auto as_awaitable = asio::as_tuple(as_awaitable_result);

class connection : public asio_connection {
public:
  using asio_connection::asio_connection;

  awaitable<void> serve() {
    for (;;) {
      if (const auto request = take_deferred()) {
        if (failed(co_await carry_out(*request))) co_return;
        complete_deferred();
      } else if (const auto bytes = session_.pending(); !bytes.empty()) {
        const auto [error, n] =
            co_await socket_.async_send(asio::buffer(bytes.data(), bytes.size()), as_value);
        sent(n);
        if (failed(error)) co_return;
      } else if (!session_.finished()) {
        await_request();
        const auto [error] = co_await socket_.async_wait(asio_socket::wait_read, as_value);
        if (failed(error)) co_return;
        receive_available();
      } else {
        break;
      }
    }
    if (begin_linger()) co_await (discard() || timer_.async_wait(as_awaitable));
  }

private:
  awaitable<error_code> carry_out(deferred_request request) {
    if (request.what == deferred_request::kind::sleep) {
      timer_.expires_after(request.duration);
      const auto [error] = co_await timer_.async_wait(as_value);
      co_return error;
    }
    if (request.offload) {
      co_await burnt_elsewhere(request);
    } else {
      burn(request);
    }
    co_return error_code();
  }

  awaitable<void> burnt_elsewhere(deferred_request request) {
    return asio::async_initiate<decltype(as_awaitable_result), void()>(
        [this, request](auto resume) {
          const auto shared = std::make_shared<decltype(resume)>(std::move(resume));  // std::function copies
          burn_elsewhere(request, [shared] { (*shared)(); });
        },
        as_awaitable_result);
  }

  awaitable<void> discard() {
    for (;;) {
      const auto [error] = co_await socket_.async_wait(asio_socket::wait_read, as_value);
      if (error || !discard_available()) co_return;
    }
  }
};

class asio_coroutine_server {
public:
  static constexpr std::string_view name = "asio-coroutine";
  static constexpr std::string_view summary = "Boost.Asio, C++20 coroutines, an io_context for each thread";
  static constexpr clients holds = clients::any;
  static std::string_view unavailable_reason() { return ""; }

  explicit asio_coroutine_server(const server_options& options)
      : options_(options), listeners_(options, options.threads) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_totals run(const std::stop_token& stop) {
    return run_asio_loops(options_, listeners_, stop, [](asio_loop& loop) {
      for (asio_listener& listener : loop.listeners) {
        asio::co_spawn(loop.context, accept(loop, listener), [](const std::exception_ptr& error) {
          if (error) std::rethrow_exception(error);  // out of run(): nothing would accept any more
        });
      }
    });
  }

private:
  static awaitable<void> accept(asio_loop& loop, asio_listener& listener) {
    while (!loop.stopping()) {
      if (!loop.full()) {
        auto [error, socket] = co_await listener.acceptor.async_accept(as_value);
        if (loop.stopping()) co_return;
        if (!error) {
          const auto who = std::make_shared<connection>(std::move(socket), loop);
          asio::co_spawn(loop.context, who->serve(), [who](const std::exception_ptr&) {});
        }
        if (!loop.lacks(error)) continue;
      }
      listener.timer.expires_after(accept_pause);
      co_await listener.timer.async_wait(as_value);
    }
  }

  server_options options_;
  listener_set listeners_;
};

}  // namespace

const variant variants::asio_coroutine = describe<asio_coroutine_server>();

}  // namespace echobench
