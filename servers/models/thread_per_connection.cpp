// A thread for each connection: code as plain as the iterative server's, and as many stacks as clients.
//
// asio_coroutine.cpp takes the same steps (connection_state.hpp) and differs in how it waits: here the kernel
// suspends the thread, with its stack; there co_await suspends a function, and the thread runs another's.
//
// With 10,000 clients in closed loop on one CPU the longest wait was 5 to 11 s, because the kernel did not
// run the thread: among threads that were runnable for all of 9 s, some ran 8 times and the median thread
// 42 times (/proc/PID/task/*/schedstat).
#include "servers/serving/blocking.hpp"
#include "servers/variants.hpp"

#include <boost/thread/thread.hpp>
#include <pthread.h>

#include <condition_variable>
#include <mutex>
#include <new>

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
  static constexpr description about{
      .name = "thread-per-connection",
      .summary = "a Boost.Thread with a 64 KiB stack for each connection, blocking sockets",
      .family = model_family::threads,
      .waits = "a thread for each client",
      .threads = "must be 1: the number of threads is the model",
      .colour = "#cf5a00"};
  static constexpr clients holds = clients::any;
  static constexpr auto stops = stop_on_signal::by::handler;
  static std::string_view unavailable_reason() { return ""; }

  explicit thread_per_connection_server(const server_options& options)
      : options_(without_threads(options, about.name)),
        listeners_(options, 1),
        pool_(buffer_pool::use::many_threads) {
    attributes_.set_stack_size(stack_size);
    sigset_t blocked;  // by this thread: signals that stop the server are for it alone
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    ::pthread_attr_setsigmask_np(attributes_.native_handle(), &blocked);
  }

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop, const on_ready& ready) {
    const drain_clock drain(stop, options_.drain_timeout);
    interrupter wakes(stop);
    ready();
    const stop_on_signal::allowed while_it_serves;
    server_totals accepting;
    blocking_acceptor acceptor(listeners_.of_loop(0), stop, blocking_acceptor::waits::in_poll);
    while (unique_fd socket = acceptor.next(accepting)) {
      if (!start(std::move(socket), drain, wakes)) {
        accepting.count(server_error::accept);
        acceptor.pause();
      }
      wait_below_the_limit(stop);
    }
    listeners_.close(0);
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return live_ == 0; });
    totals_ += accepting;
    return {totals_};
  }

private:
  // False if the system gives no more threads or memory: the client is turned away.
  bool start(unique_fd socket, const drain_clock& drain, interrupter& wakes) {
    {
      const std::lock_guard lock(mutex_);
      ++live_;
    }
    try {
      boost::thread(attributes_, [this, &drain, &wakes, socket = std::move(socket)]() mutable {
        serve(std::move(socket), drain, wakes);
      }).detach();
      return true;
    } catch (const boost::thread_resource_error&) {
    } catch (const std::bad_alloc&) {
    }
    const std::lock_guard lock(mutex_);
    --live_;
    return false;
  }

  void serve(unique_fd socket, const drain_clock& drain, interrupter& wakes) noexcept {
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

  // Returns when a further client is allowed; or, if the server stops, soon: a handler cannot end this wait.
  void wait_below_the_limit(const std::stop_token& stop) {
    const std::size_t limit = options_.max_connections;
    std::unique_lock lock(mutex_);
    while (limit > 0 && live_ >= limit && !stop.stop_requested()) ended_.wait_for(lock, accept_pause);
  }

  server_options options_;
  listener_set listeners_;
  buffer_pool pool_;
  boost::thread::attributes attributes_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t live_ = 0;
  server_totals totals_;
};

}  // namespace

const variant variants::thread_per_connection = describe<thread_per_connection_server>();

}  // namespace echobench
