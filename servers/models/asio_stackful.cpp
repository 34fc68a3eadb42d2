// Asio with stackful coroutines: an io_context for each thread. A connection's code reads like that of a
// blocking server, and waits on its own stack.
#include "servers/serving/asio_loop.hpp"
#include "servers/serving/guarded_stacks.hpp"
#include "servers/variants.hpp"

#include <boost/asio/spawn.hpp>

namespace echobench {
namespace {

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

// A base, because it must outlive the context of another.
struct with_stacks {
  guarded_stacks stacks;
};

class loop final : with_stacks, public asio_loop<asio_executor> {
public:
  static constexpr description about{
      .name = "asio-stackful",
      .summary =
          "Boost.Asio, a stackful coroutine with 16 KiB for each connection, an io_context for each thread",
      .family = model_family::fibers,
      .waits = asio_waits,
      .threads = asio_threads,
      .colour = "#8250df"};
  static std::string_view unavailable_reason() {
#ifdef __SANITIZE_THREAD__
    return "ThreadSanitizer does not know the stacks of this Boost.Context";
#else
    return "";
#endif
  }

  using asio_loop::asio_loop;

private:
  template <class Function>
  void spawn(Function function) {
    asio::spawn(context.get_executor(), std::allocator_arg, guarded_stacks::allocator(stacks),
                std::move(function), rethrow);
  }

  bool has_memory_for_client() noexcept override {
    return stacks.reserve() && asio_loop::has_memory_for_client();
  }

  void accept(std::shared_ptr<asio_listener<asio_executor>> listener) override {
    spawn([this, listener](yield_context yield) { accept_clients(*listener, yield); });
  }

  void accept_clients(asio_listener<asio_executor>& listener, yield_context yield) {
    while (!stopping()) {
      error_code error;
      if (places_are_limited()) listener.acceptor.async_wait(listener.acceptor.wait_read, yield[error]);
      while (must_wait(listener)) listener.timer.async_wait(yield[error]);
      asio_socket<asio_executor> socket = listener.acceptor.async_accept(yield[error]);
      if (accepted(listener, error)) serve(listener, std::move(socket));
    }
  }

  void serve(asio_listener<asio_executor>& listener, asio_socket<asio_executor> socket) {
    spawn(
        [conn = admit<connection>(listener, std::move(socket))](yield_context yield) { conn->serve(yield); });
  }
};

}  // namespace

const variant variants::asio_stackful = describe<server_of_loops<loop>>();

}  // namespace echobench
