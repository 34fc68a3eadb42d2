// A thread for each connection: code as plain as the iterative server's, and as many stacks as clients.
//
// With 10,000 clients in closed loop on one CPU the longest wait was 5 to 11 s, because the kernel did not
// run the thread: among threads that were runnable for all of 9 s, some ran 8 times and the median thread
// 42 times (/proc/PID/task/*/schedstat).
#include "servers/serving/blocking.hpp"
#include "servers/variants.hpp"

#include <boost/thread/thread.hpp>

namespace echobench {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t stack_size = std::size_t{512} * 1024;  // instrumented frames are several times larger
#else
constexpr std::size_t stack_size =
    std::size_t{64} * 1024;  // bytes of address space; a page is used when it is touched
#endif

class thread_per_connection_server {
public:
  static constexpr std::string_view name = "thread-per-connection";
  static constexpr std::string_view summary =
      "a Boost.Thread with a 64 KiB stack for each connection, blocking sockets";
  static constexpr clients holds = clients::any;
  static std::string_view unavailable_reason() { return ""; }

  explicit thread_per_connection_server(const server_options& options)
      : options_(without_threads(options, name)),
        listeners_(options, 1),
        pool_(buffer_pool::use::many_threads) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop) {
    const drain_clock drain(stop, options_.drain_timeout);
    interrupter wakes(stop);
    {
      blocking_acceptor acceptor(listeners_.of_loop(0), stop, blocking_acceptor::waits::in_poll);
      server_totals accepting;
      while (unique_fd socket = acceptor.next(accepting)) {
        if (!start(std::move(socket), drain, wakes)) {
          accepting.count(server_error::accept);
          acceptor.pause();
        }
        wait_for_fewer_than(options_.max_connections, stop);
      }
      const std::lock_guard lock(mutex_);
      totals_ += accepting;
    }
    listeners_.close(0);
    wait_for_fewer_than(1, {});
    return {totals_};
  }

private:
  // False if the system gives no more threads: the client is turned away.
  bool start(unique_fd socket, const drain_clock& drain, interrupter& wakes) {
    boost::thread::attributes attributes;
    attributes.set_stack_size(stack_size);
    {
      const std::lock_guard lock(mutex_);
      ++live_;
    }
    try {
      boost::thread(attributes, [this, &drain, &wakes, socket = std::move(socket)]() mutable {
        serve(std::move(socket), drain, wakes);
      }).detach();
      return true;
    } catch (const boost::thread_resource_error&) {
      const std::lock_guard lock(mutex_);
      --live_;
      return false;
    }
  }

  void serve(unique_fd socket, const drain_clock& drain, interrupter& wakes) {
    server_totals totals;
    {
      const interrupter::registration registered(wakes);
      connection_state state(options_.connection, pool_, drain);
      serve_blocking(socket.get(), state, drain);
      state.add_to(totals);
      socket.reset();
    }
    const std::lock_guard lock(mutex_);  // nothing else is used after this
    totals_ += totals;
    --live_;
    ended_.notify_all();
  }

  // Returns at once when `limit` is 0 (none), or when the server stops.
  void wait_for_fewer_than(std::size_t limit, std::stop_token stop) {
    if (limit == 0) return;
    std::unique_lock lock(mutex_);
    ended_.wait(lock, std::move(stop), [&] { return live_ < limit; });
  }

  server_options options_;
  listener_set listeners_;
  buffer_pool pool_;
  std::mutex mutex_;
  std::condition_variable_any ended_;
  std::size_t live_ = 0;
  server_totals totals_;
};

}  // namespace

const variant variants::thread_per_connection = describe<thread_per_connection_server>();

}  // namespace echobench
