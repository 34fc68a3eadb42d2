// An Asio server whose connections do not end.
#include "servers/serving/asio_loop.hpp"

#include "servers/serving/guarded_stacks.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <iostream>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;

class endless : public asio_connection<asio_executor> {
public:
  using asio_connection::asio_connection;

  void call_back() {
    timer_.expires_after(1h);
    timer_.async_wait([this, self = shared_from_this()](error_code) { call_back(); });
  }
  asio::awaitable<void, asio_executor> coroutine() {
    for (;;) {
      timer_.expires_after(1h);
      co_await timer_.async_wait(asio::as_tuple(asio::deferred));
    }
  }
  void on_a_stack(asio::basic_yield_context<asio_executor> yield) {
    for (error_code ignored;;) {
      timer_.expires_after(1h);
      timer_.async_wait(yield[ignored]);
    }
  }
};
using connection_pointer = std::shared_ptr<endless>;

struct callbacks {
  static void serve(const connection_pointer& conn) { conn->call_back(); }
};
struct coroutines {
  static void serve(const connection_pointer& conn) {
    asio::co_spawn(conn->executor(), conn->coroutine(),
                   [conn](const std::exception_ptr& error) { rethrow(error); });
  }
};
struct stackful_coroutines {
  static void serve(const connection_pointer& conn) {
    static guarded_stacks stacks;
    asio::spawn(
        conn->executor(), std::allocator_arg, guarded_stacks::allocator(stacks),
        [conn](asio::basic_yield_context<asio_executor> yield) { conn->on_a_stack(yield); }, rethrow);
  }
};

template <class Model>
class loop final : public asio_loop<asio_executor> {
public:
  static constexpr description about{.name = "endless", .summary = ""};
  using asio_loop::asio_loop;

  static inline std::promise<void> serves;

private:
  void accept(std::shared_ptr<asio_listener<asio_executor>> listener) override {
    if (must_wait(*listener)) FAIL() << "for a first client";
    listener->acceptor.async_accept(new_executor(),
                                    [this, listener](error_code error, asio_socket<asio_executor> socket) {
                                      if (!accepted(*listener, error)) return;
                                      Model::serve(admit<endless>(*listener, std::move(socket)));
                                      serves.set_value();
                                    });
  }
};

template <class Model>
class asio_connections : public ::testing::Test {};
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
// They do not know the stacks that are left.
using models = ::testing::Types<callbacks, coroutines>;
#else
using models = ::testing::Types<callbacks, coroutines, stackful_coroutines>;
#endif
TYPED_TEST_SUITE(asio_connections, models);

TYPED_TEST(asio_connections, that_do_not_end_are_left_behind) {
  server_options options;
  options.drain_timeout = 50ms;
  server_of_loops<loop<TypeParam>> server(options);
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] { return server.run(stop.get_token(), [] {}); });
  const connect_attempt client = connect_within(server.listeners().endpoints().front(), 60s);
  loop<TypeParam>::serves.get_future().wait();
  stop.request_stop();
  if (running.wait_for(60s) != std::future_status::ready) {
    std::cerr << "the server does not end\n";
    std::abort();
  }
  const server_totals totals = running.get().totals;
  EXPECT_EQ(totals.accepted, 1U);
  EXPECT_EQ(totals.errors[static_cast<std::size_t>(server_error::drain_timeout)], 1U);
}

}  // namespace
}  // namespace echobench::testing
