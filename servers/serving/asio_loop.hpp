// An io_context, its listeners and its connections: what an Asio model does in addition to moving bytes.
#pragma once

#include "servers/serving/asio_on_io_uring.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/server_loops.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/intrusive/list.hpp>

#include <deque>
#include <memory>
#include <mutex>
#include <utility>

namespace echobench {

namespace asio = boost::asio;
using boost::system::error_code;

// Why this backend cannot be used here; empty if it can.
std::string_view asio_unavailable_reason();

// What a model with a context for each thread says of itself.
inline constexpr std::string_view asio_waits =
    asio_on_io_uring ? "an `io_context` on io_uring, patched, in `echo-server-uring`"
                     : "an `io_context`; a connection is what runs when an operation completes";
inline constexpr std::string_view asio_threads = "N contexts";
inline constexpr std::string_view asio_remark =
    asio_on_io_uring ? "patched: two of Asio's calls of liburing are replaced" : "";

// What keeps a connection's handlers from running at the same time: that one thread runs the context, or a
// strand. Concrete executors: the default one is type-erased, which costs a virtual call for each operation.
using asio_executor = asio::io_context::executor_type;
using asio_strand = asio::strand<asio_executor>;

template <class Executor>
using asio_socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
template <class Executor>
using asio_acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
template <class Executor>
using asio_timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                              asio::wait_traits<std::chrono::steady_clock>, Executor>;

// How replies are sent: each by an Asio operation, as everybody does; or at once where that costs less.
enum class asio_sending { plain, tuned };

template <class Executor>
class asio_loop;

// The last handler of a coroutine: what it throws leaves run().
inline void rethrow(const std::exception_ptr& error) {
  if (error) std::rethrow_exception(error);
}

// A socket and the state of its connection, made by asio_loop::admit. Everything happens on its executor. One
// operation is awaited at a time; it fails when the connection's deadline is reached.
template <class Executor>
class asio_connection : public boost::intrusive::list_base_hook<>,
                        public std::enable_shared_from_this<asio_connection<Executor>> {
public:
  using step = connection_state::step;

  asio_connection(asio_socket<Executor> socket, asio_loop<Executor>& loop);
  asio_connection(const asio_connection&) = delete;
  asio_connection& operator=(const asio_connection&) = delete;
  ~asio_connection();  // NOLINT(bugprone-exception-escape): locking this mutex
                       // cannot throw

  Executor executor() noexcept { return socket_.get_executor(); }

  connection_state state;

protected:
  // What is to be done now.
  step next();
  // What was awaited is over. An operation that was cancelled, because of a deadline or because the server
  // stops, is no failure: next() returns what to do then.
  void received(error_code error, std::size_t n);
  void sent(error_code error, std::size_t n);
  void slept() { state.time_passed(); }
  void end_sending();
  // Sends by send(2), now, unless many connections are ready, this one has more to do, or the system takes
  // nothing: then it returns false, and Asio must send. An Asio operation completes through the loop's queue,
  // with a call of epoll_wait(2) in between, which costs much for a single request. When many connections are
  // ready it is best: the next read, which Asio tries at once, begins behind the others, when the peer has
  // had time to send again.
  //
  // CPU time relative to epoll, raw, 100 connections (callbacks, coroutines):
  //                    40,000/s      65,000/s      saturation
  //   always by Asio   1.12  1.12    1.08  1.09    1.04  1.06
  //   always at once   1.07  1.08    1.06  1.06    1.10  1.14
  //   this             1.06  1.09    1.05  1.06    1.04  1.07
  bool sends_at_once();
  // Burns on another thread, then calls `done` on the executor; `done` keeps the connection alive.
  template <class Done>
  void burn_elsewhere(Done done);

  asio_loop<Executor>& loop_;
  asio_socket<Executor> socket_;
  asio_timer<Executor> timer_;  // of a sleep; at other times of the deadline

private:
  friend asio_loop<Executor>;
  void follow_deadline();
  void interrupt();  // the awaited operation fails

  // The deadline mostly moves on with each message: the timer is only brought forward, and set anew when it
  // comes too early.
  connection_state::clock::time_point watched_until_ = connection_state::never;
};

// A listening socket, and the timer of its pauses. Everything happens on their executor. What accepts there
// has a pointer to it, so that it is known when that has ended.
template <class Executor>
struct asio_listener : std::enable_shared_from_this<asio_listener<Executor>> {
  asio_listener(const Executor& executor, const asio::ip::tcp& protocol, unique_fd socket)
      : acceptor(executor, protocol, socket.release()), timer(executor) {}

  asio_acceptor<Executor> acceptor;
  asio_timer<Executor> timer;

  // Guarded by the loop's mutex:
  bool failed = false;     // to accept, for want of something
  bool has_place = false;  // among --max-connections, for the next client
  bool pauses = false;
};

template <class Executor>
class asio_loop {
public:
  asio_loop(shared_by_loops& shared, unsigned index);
  asio_loop(const asio_loop&) = delete;
  asio_loop& operator=(const asio_loop&) = delete;

  static std::string_view unavailable_reason() { return asio_unavailable_reason(); }
  // All threads run one context; otherwise each has its own.
  static constexpr bool one_for_all_threads = std::is_same_v<Executor, asio_strand>;

  // Runs the context until the server has stopped and the last connection has ended: on one thread, or on
  // all.
  void run();
  server_totals totals();  // when it has run

protected:
  ~asio_loop();

  // ---- what a model defines

  // Accepts at the listener until the server stops; by operations that keep the pointer.
  virtual void accept(std::shared_ptr<asio_listener<Executor>> listener) = 0;
  // For a connection and its largest message, and what that must leave (reserve()).
  virtual bool has_memory_for_client() noexcept;

  // ---- what a model calls

  // For a connection or listener that comes into being.
  Executor new_executor() {
    if constexpr (one_for_all_threads) {
      return asio::make_strand(context);
    } else {
      return context.get_executor();
    }
  }
  // Whether to wait, before all else, until the listener is readable: where places are limited, none is taken
  // for a client that may not come.
  bool places_are_limited() const noexcept { return shared_.options.max_connections > 0; }
  // Before async_accept: whether to wait for the listener's timer now, and then to ask again. Otherwise there
  // are memory and a place for a client.
  bool must_wait(asio_listener<Executor>& listener);
  // async_accept has ended with this: whether the client is to be admitted. One for whom memory is lacking is
  // turned away.
  bool accepted(asio_listener<Executor>& listener, error_code error);
  template <class Connection>
  std::shared_ptr<Connection> admit(asio_listener<Executor>& listener, asio_socket<Executor> socket) {
    auto conn = std::make_shared<Connection>(std::move(socket), *this);
    joined(*conn, listener);
    return conn;
  }
  bool stopping() const noexcept { return shared_.drain.stopping(); }

private:
  friend asio_connection<Executor>;

  // Whether many connections are served at each wake-up. Asked once for each request; by one thread.
  bool crowded();
  // On one of the threads.
  void begin_accepting();

  // Bytes that must be left to so many connections when a client or a large buffer has been given its memory.
  // Asio does not survive if operations find none: a strand stays locked for ever, a coroutine ends the
  // process. Each connection may need memory for one at the same time, when the server stops.
  std::size_t reserve(std::size_t connections) const noexcept {
    constexpr std::size_t of_connection = 1024;  // an operation of 300 bytes, twice if there is a strand
    return (shared_.options.threads + 1) * buffer_pool::large_size + connections * of_connection;
  }

  // With mutex_ locked.
  template <class Function>
  void post_to_all(Function function);
  void watch_end();
  void give_up_place(asio_listener<Executor>& listener) noexcept;

  void begin_draining();
  void joined(asio_connection<Executor>& conn, asio_listener<Executor>& listener);
  void left(asio_connection<Executor>& conn);
  static void end_pause(asio_listener<Executor>& listener) noexcept;

  shared_by_loops& shared_;
  buffer_pool pool_;
  unsigned asked_ = 0;  // since the count began
  bool counts_ = false;
  bool crowded_ = false;
  std::mutex mutex_;  // of what follows; requests do not touch it
  server_totals totals_;
  boost::intrusive::list<asio_connection<Executor>> connections_;
  bool draining_ = false;
  bool aborted_ = false;          // the connections, because the time to stop was over
  std::size_t reserved_for_ = 0;  // so many connections there was memory

  std::deque<asio_listener<Executor>> listeners_;

protected:
  asio::io_context context;  // its handlers own the connections, which use the above

private:
  asio_timer<asio_executor> end_{context};  // of draining; guarded by mutex_
  wake_event stop_event_;
  asio::posix::basic_stream_descriptor<asio_executor> stopped_{context, stop_event_.fd()};
  wake_on_stop on_stop_{shared_.stop, stop_event_};
};

template <class Executor>
inline connection_state::step asio_connection<Executor>::next() {
  if (state.next() == step::receive && loop_.stopping()) state.stop(bytes_readable(socket_.native_handle()));
  if (state.deadline() != watched_until_) follow_deadline();
  return state.next();
}

template <class Executor>
inline void asio_connection<Executor>::received(error_code error, std::size_t n) {
  if (n > 0 || error == asio::error::eof) {
    state.received(n);
  } else if (error != asio::error::operation_aborted) {
    state.failed();
  }
}

template <class Executor>
inline void asio_connection<Executor>::sent(error_code error, std::size_t n) {
  if (n > 0) state.sent(n);
  if (error && error != asio::error::operation_aborted) state.failed();
}

template <class Executor>
inline bool asio_connection<Executor>::sends_at_once() {
  if (loop_.crowded() || !state.only_receives_then()) return false;
  advance(state, socket_.native_handle());
  return state.next() != step::send;
}

// What is posted runs when all connections that were ready have been served.
template <class Executor>
inline bool asio_loop<Executor>::crowded() {
  constexpr unsigned many = 4;
  constexpr unsigned seldom = 61;  // where requests come singly, a count costs a wait that brings nothing;
                                   // prime, or it might begin with the last request of a wake-up each time
  ++asked_;
  if (!counts_ && (crowded_ || asked_ >= seldom)) {
    asio::post(context, [this] {
      crowded_ = asked_ >= many;
      counts_ = false;
      asked_ = 0;
    });
    counts_ = true;
    asked_ = 1;
  }
  return crowded_;
}

// Not with asio::thread_pool: its constructor does not return if only some of its threads can be started.
template <class Executor>
template <class Done>
void asio_connection<Executor>::burn_elsewhere(Done done) {
  auto shared = std::make_shared<Done>(std::move(done));  // std::function copies
  loop_.shared_.offload.submit(
      [this, shared = std::move(shared), work = asio::make_work_guard(executor())]() mutable {
        state.burn();
        asio::post(work.get_executor(), [last = std::move(shared)] { std::move (*last)(); });
      });
}

extern template class asio_connection<asio_executor>;
extern template class asio_connection<asio_strand>;
extern template class asio_loop<asio_executor>;
extern template class asio_loop<asio_strand>;

}  // namespace echobench
