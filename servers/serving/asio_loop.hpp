// One thread's io_context, its listeners and its connections: what an Asio model does beside moving bytes.
#pragma once

#include "servers/serving/alarms.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/server_loops.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/intrusive/list.hpp>

#include <deque>
#include <memory>
#include <utility>

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

// A socket and the life of its connection. Not thread-safe: everything happens on its loop's thread. One
// operation is awaited at a time; when its time is over, it fails.
class asio_connection : public boost::intrusive::list_base_hook<>, public alarm {
public:
  using step = connection_life::step;

  asio_connection(asio_socket socket, asio_loop& loop);
  asio_connection(const asio_connection&) = delete;
  asio_connection& operator=(const asio_connection&) = delete;
  ~asio_connection();  // NOLINT(bugprone-exception-escape): cancelling a timer throws for no cause that
                       // exists here

  connection_life life;

protected:
  // What is to be done now.
  step next();
  // What was awaited is over. An operation that was cancelled, because its time is over or the server stops,
  // is no failure: next() tells what to do then.
  void received(error_code error, std::size_t n);
  void sent(error_code error, std::size_t n);
  void slept() { life.time_passed(); }
  void end_sending();
  // Burns on another thread, then calls `done` on the loop's, which keeps the connection alive.
  template <class Done>
  void burn_elsewhere(Done done);

  asio_loop& loop_;
  asio_socket socket_;
  asio_timer timer_;  // of a sleep

private:
  friend asio_loop;
  void interrupt();  // what is awaited fails
};

// A listening socket, and the timer of its pauses.
struct asio_listener {
  asio_acceptor acceptor;
  asio_timer timer;
};

class asio_loop {
public:
  asio_loop(shared_by_loops& shared, unsigned index);
  asio_loop(const asio_loop&) = delete;
  asio_loop& operator=(const asio_loop&) = delete;
  ~asio_loop() { draining_ = false; }  // or connections that end with the context would cancel a dead timer

  // Runs the context until the server has stopped and the last connection has ended.
  void run();

  // --max-connections is reached: wait for accept_pause.
  bool full() const noexcept { return shared_.connections.full(); }
  // Accepting failed for want of something that comes back: wait for accept_pause.
  bool lacks(error_code error);
  bool stopping() const noexcept { return draining_; }
  const server_totals& totals() const noexcept { return totals_; }

private:
  friend asio_connection;

  void follow(asio_connection& who);
  void watch_alarms();
  void ring();
  void begin_draining();
  void joined(asio_connection& who);
  void left(asio_connection& who);

  shared_by_loops& shared_;
  buffer_pool pool_{buffer_pool::use::one_thread};
  server_totals totals_;
  boost::intrusive::list<asio_connection> connections_;
  alarms<asio_connection> alarms_;
  bool draining_ = false;

public:
  asio::io_context context{1};  // one thread runs it; its handlers own the connections, which use the above
  std::deque<asio_listener> listeners;

private:
  asio_timer watch_{context};  // until the first alarm or, while draining, the end of that
  connection_life::clock::time_point watched_until_ = connection_life::never;
};

inline asio_connection::step asio_connection::next() {
  if (life.next() == step::receive && loop_.draining_) life.stop(bytes_readable(socket_.native_handle()));
  if (life.deadline() != connection_life::never && life.next() != step::sleep) loop_.follow(*this);
  return life.next();
}

inline void asio_connection::received(error_code error, std::size_t n) {
  if (n > 0 || error == asio::error::eof) {
    life.received(n);
  } else if (error != asio::error::operation_aborted) {
    life.failed();
  }
}

inline void asio_connection::sent(error_code error, std::size_t n) {
  if (n > 0) life.sent(n);
  if (error && error != asio::error::operation_aborted) life.failed();
}

// Not by asio::thread_pool: its constructor does not return when only some of its threads can be started.
template <class Done>
void asio_connection::burn_elsewhere(Done done) {
  auto shared = std::make_shared<Done>(std::move(done));  // std::function copies
  loop_.shared_.offload.submit(
      [this, shared = std::move(shared), loop = asio::make_work_guard(loop_.context)]() mutable {
        life.burn();
        asio::post(loop.get_executor(), [last = std::move(shared)] { std::move (*last)(); });
      });
}

}  // namespace echobench
