// Serving with blocking system calls: what the models share in which a connection owns a thread.
#pragma once

#include "servers/serving/listener.hpp"

#include <poll.h>
#include <pthread.h>

#include <condition_variable>
#include <list>
#include <mutex>
#include <thread>

namespace echobench {

// Throws usage_error if --threads is given to a model that has no number of threads.
const server_options& without_threads(const server_options& options, std::string_view variant);

// Wakes threads that are blocked in a system call when the server stops: with a signal, which makes the call
// fail with EINTR. It is sent again and again as long as this exists, because a signal that comes just before
// the call is lost.
class interrupter {
public:
  explicit interrupter(const std::stop_token& stop);

  // The calling thread is woken, as long as this exists.
  class registration {
  public:
    explicit registration(interrupter& owner);
    ~registration();
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;

  private:
    interrupter& owner_;
    std::list<pthread_t>::iterator place_;
  };

private:
  struct starter {
    interrupter* self;
    void operator()() const {
      const std::lock_guard lock(self->mutex_);
      self->stopping_ = true;
      self->changed_.notify_one();
    }
  };
  void interrupt(const std::stop_token& end);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool stopping_ = false;         // guarded by mutex_
  std::list<pthread_t> threads_;  // guarded by mutex_
  std::jthread thread_;           // joined before what it uses goes
  std::stop_callback<starter> on_stop_;
};

// Waits for connections on all listening sockets of a loop.
class blocking_acceptor {
public:
  // in_accept: if there is one listening socket, the thread blocks in accept(2), so that the kernel wakes one
  // thread for each connection; the thread is registered with an interrupter. (Each thread then holds a
  // descriptor, which accept(2) reserves before it waits.)
  enum class waits : std::uint8_t { in_poll, in_accept };
  blocking_acceptor(const std::vector<unique_fd>& listeners, std::stop_token stop, waits where);

  // The next connection, blocking; empty when the server stops. Counts accepted connections and failures.
  unique_fd next(server_totals& totals);
  // No new connection for a while, because resources are lacking; returns early when the server stops.
  void pause();

private:
  const std::vector<unique_fd>& listeners_;
  std::vector<pollfd> waiting_;  // for the stop, and for the listeners; empty: in accept(2)
  std::size_t next_ = 0;         // the next listener, so that no address starves another
  wake_event stopped_;
  std::stop_token stop_;
  wake_on_stop on_stop_;
};

// Takes the connection's steps, blocking in each, until it is over. The thread should be registered with an
// interrupter.
void serve_blocking(int socket, connection_state& state, const drain_clock& drain);

// Serves the connections of the acceptor, one after another, until the server stops.
void serve_one_by_one(blocking_acceptor& acceptor, const connection_options& options,
                      const drain_clock& drain, server_totals& totals);

}  // namespace echobench
