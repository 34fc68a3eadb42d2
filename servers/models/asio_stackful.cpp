// Asio with stackful coroutines: an io_context for each thread. A connection's code reads like that of a
// blocking server, and waits on its own stack.
#include "servers/serving/asio_loop.hpp"
#include "servers/variants.hpp"

#include <boost/asio/spawn.hpp>
#include <boost/context/fixedsize_stack.hpp>

namespace echobench {
namespace {

constexpr std::size_t stack_size = std::size_t{16} * 1024;  // bytes; two pages of it are used

using yield_context = asio::basic_yield_context<asio_executor>;

class connection : public asio_connection<asio_executor> {
public:
  using asio_connection::asio_connection;

  void serve(yield_context yield) {
    error_code error;  // a value, so that a peer that leaves unwinds no exception
    for (;;) {
      switch (next()) {
        case step::receive: {
          const auto space = state.space();
          const std::size_t n =
              socket_.async_read_some(asio::buffer(space.data(), space.size()), yield[error]);
          received(error, n);
          break;
        }
        case step::send: {
          const auto bytes = state.pending();
          const std::size_t n = socket_.async_send(asio::buffer(bytes.data(), bytes.size()), yield[error]);
          sent(error, n);
          break;
        }
        case step::work:
          if (state.offloads()) {
            asio::async_initiate<yield_context, void()>(
                [this](auto resume) { burn_elsewhere(std::move(resume)); }, yield);
          } else {
            state.burn();
          }
          state.carried_out();
          break;
        case step::sleep:
          timer_.expires_at(state.deadline());
          timer_.async_wait(yield[error]);
          slept();
          break;
        case step::end_sending: end_sending(); break;
        case step::close: return;
      }
    }
  }
};

class loop : public asio_loop<asio_executor> {
public:
  static constexpr std::string_view name = "asio-stackful";
  static constexpr std::string_view summary =
      "Boost.Asio, a stackful coroutine with 16 KiB for each connection, an io_context for each thread";
  static std::string_view unavailable_reason() {
#ifdef __SANITIZE_THREAD__
    return "ThreadSanitizer does not know the stacks of this Boost.Context";
#else
    return "";
#endif
  }

  loop(shared_by_loops& shared, unsigned index) : asio_loop(shared, index) {
    for (auto& listener : listeners) {
      spawn([&](yield_context yield) { accept(listener, yield); });
    }
  }

private:
  template <class Function>
  void spawn(Function function) {
    asio::spawn(context.get_executor(), std::allocator_arg, boost::context::fixedsize_stack(stack_size),
                std::move(function), [](const std::exception_ptr& error) {
                  if (error) std::rethrow_exception(error);  // out of run()
                });
  }

  void accept(asio_listener<asio_executor>& listener, yield_context yield) {
    error_code error;
    while (!stopping()) {
      if (!full()) {
        asio_socket<asio_executor> socket = listener.acceptor.async_accept(yield[error]);
        if (stopping()) return;
        if (!error) {
          spawn(
              [conn = admit<connection>(std::move(socket))](yield_context serving) { conn->serve(serving); });
        }
        if (!lacks(error)) continue;
      }
      listener.timer.expires_after(accept_pause);
      listener.timer.async_wait(yield[error]);
    }
  }
};

}  // namespace

const variant variants::asio_stackful = describe<server_of_loops<loop>>();

}  // namespace echobench
