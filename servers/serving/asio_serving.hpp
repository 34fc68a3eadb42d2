// What the Asio variants share: an io_context with its listeners and connections, and all of a connection
// that is not its model. The model is how a variant's own connection is told that an operation has completed.
#pragma once

#include "servers/serving/connection_count.hpp"
#include "servers/serving/listener.hpp"
#include "servers/serving/offload_pool.hpp"
#include "servers/serving/run_on_threads.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/intrusive/list.hpp>

#include <deque>
#include <functional>
#include <optional>

namespace echobench {

namespace asio = boost::asio;
using boost::system::error_code;

// A concrete executor: the default one is type-erased, which costs a virtual call for each operation.
using asio_executor = asio::io_context::executor_type;
using asio_socket = asio::basic_stream_socket<asio::ip::tcp, asio_executor>;
using asio_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio_executor>;
using asio_timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                              asio::wait_traits<std::chrono::steady_clock>, asio_executor>;

class asio_loop;

// Not thread-safe: everything happens on its loop's thread. An operation that fails or is cancelled reaches
// the model as the error code of what it awaits.
class asio_connection : public boost::intrusive::list_base_hook<> {
public:
  asio_connection(asio_socket socket, asio_loop& loop);
  asio_connection(const asio_connection&) = delete;
  asio_connection& operator=(const asio_connection&) = delete;
  ~asio_connection();  // NOLINT(bugprone-exception-escape): cancelling a timer throws for no cause that
                       // exists here

  void drain();                  // the server stops
  void abort(server_error why);  // whatever is awaited fails
  std::chrono::steady_clock::time_point last_active() const noexcept { return last_active_; }
  // Nothing is being carried out for it: the idle time-out applies.
  bool idles() const noexcept { return phase_ == phase::serving || phase_ == phase::awaiting_request; }

protected:
  // It waits for readability and nothing else, so that draining may cancel that; then receive_available().
  void await_request();
  void receive_available();
  void sent(std::size_t n);
  std::optional<deferred_request> take_deferred();
  void complete_deferred();
  void burn(const deferred_request& work) const;  // here
  // Burns on another thread and calls `done` on the loop's. `done` keeps the connection alive.
  void burn_elsewhere(const deferred_request& work, std::function<void()> done);
  // What was awaited has ended, with this error: whether the connection is over.
  bool failed(error_code error);
  // Ends the sending side and sets the timer; whether the peer may still send, so that its input must be
  // discarded.
  bool begin_linger();
  // Discards what is there, after readability was awaited; whether the peer may still send and there is time
  // for it.
  bool discard_available();

  asio_loop& loop_;
  asio_socket socket_;
  asio_timer timer_;  // a sleep, or the end of lingering
  echo_session session_;

private:
  enum class phase : std::uint8_t { serving, awaiting_request, carrying_out, lingering, closed };

  void touch();

  phase phase_ = phase::serving;
  std::optional<server_error> error_;
  std::chrono::steady_clock::time_point last_active_{};
};

// A listening socket, and the timer of its pauses.
struct asio_listener {
  asio_acceptor acceptor;
  asio_timer timer;
};

// One thread's io_context, its listeners, and its connections.
class asio_loop {
public:
  asio_loop(const server_options& options, listener_set& listeners, unsigned index, connection_count& count,
            const drain_clock& drain, offload_pool& offload);

  asio_loop(const asio_loop&) = delete;
  asio_loop& operator=(const asio_loop&) = delete;
  ~asio_loop() { draining_ = false; }  // or connections that end with the context would cancel a dead timer

  // Runs the context until the server has stopped and the last connection has ended.
  void run(const std::stop_token& stop);

  // --max-connections is reached: wait for accept_pause.
  bool full() const noexcept { return count_.full(); }
  // Accepting failed for want of something that comes back: wait for accept_pause.
  bool lacks(error_code error);
  bool stopping() const noexcept { return draining_; }

  const server_options& options;
  const drain_clock& drain;
  offload_pool& offload;
  buffer_pool pool{buffer_pool::use::one_thread};
  server_totals totals;

private:
  friend asio_connection;

  void close_idle();
  void begin_draining();
  void joined(asio_connection& who);
  void left(asio_connection& who);

  connection_count& count_;
  boost::intrusive::list<asio_connection> connections_;  // the least recently active first
  bool draining_ = false;

public:
  asio::io_context context{1};  // one thread runs it; its handlers own the connections, which use the above
  std::deque<asio_listener> listeners;

private:
  asio_timer watch_{context};  // of idle connections, then of the drain time-out
};

// Runs a loop on each of --threads threads, this one among them; `start(loop)` begins to accept.
template <class Start>
server_totals run_asio_loops(const server_options& options, listener_set& listeners,
                             const std::stop_token& stop, Start start) {
  connection_count count(options);
  const drain_clock drain(stop, options.drain_timeout);
  std::deque<asio_loop> loops;
  offload_pool offload(options.offload_threads);  // ends before the loops that it hands connections back to
  for (unsigned i = 0; i < options.threads; ++i) {
    start(loops.emplace_back(options, listeners, i, count, drain, offload));
  }
  run_on_threads(options.threads, [&](unsigned i) { loops[i].run(stop); });
  server_totals totals;
  for (const asio_loop& loop : loops) totals += loop.totals;
  offload.add_to(totals);
  return totals;
}

}  // namespace echobench
