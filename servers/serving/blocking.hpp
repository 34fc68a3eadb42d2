// Serving with blocking system calls: what the models share in which a connection owns a thread.
#pragma once

#include "servers/serving/listener.hpp"

#include <boost/intrusive/list.hpp>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include <atomic>

namespace echobench {

// Throws usage_error if --threads is given to a model that has no number of threads.
const server_options& without_threads(const server_options& options, std::string_view variant);

// How many clients a model serves at once that has a thread or process for each.
unsigned clients_at_once(const server_options& options) noexcept;

// Throws std::system_error if the process is not allowed so many more descriptors, one for each client.
void require_descriptors(std::size_t clients);

// Makes the blocking calls of a stopping server fail with EINTR: by a signal to the thread that has made this
// and to those that are registered. It is sent again and again, because a signal that comes just before the
// call is lost. A timer sends it, and needs no further thread. One at a time in a process; made and destroyed
// while stop_on_signal::allowed is not in force.
class interrupter {
public:
  explicit interrupter(const std::stop_token& stop);
  interrupter(const interrupter&) = delete;
  interrupter& operator=(const interrupter&) = delete;
  ~interrupter();

  // The calling thread is woken, as long as this exists.
  class registration : public boost::intrusive::list_base_hook<> {
  public:
    explicit registration(interrupter& owner) noexcept;
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;
    ~registration();

  private:
    friend interrupter;
    interrupter& owner_;
    pthread_t thread_ = ::pthread_self();
  };

private:
  class timer {
  public:
    timer();  // its signals go to the calling thread
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    ~timer() { ::timer_delete(id_); }
    void set(std::chrono::nanoseconds first, std::chrono::nanoseconds interval) const noexcept;

  private:
    timer_t id_{};
  };
  struct starter {
    const timer* started;
    void operator()() const noexcept;
  };

  static void woken(int, siginfo_t* signal, void*) noexcept;
  void wake_registered() noexcept;
  template <class Change>
  void change(Change change) noexcept {
    while (registering_.test_and_set(std::memory_order_acquire)) ::sched_yield();
    change();
    registering_.clear(std::memory_order_release);
  }

  static inline interrupter* instance_ = nullptr;

  timer timer_;
  std::atomic_flag registering_;
  boost::intrusive::list<registration> registered_;  // guarded by registering_
  std::stop_callback<starter> on_stop_;
};

// Waits for connections on all listening sockets of a loop.
class blocking_acceptor {
public:
  // in_accept: if there is one listening socket, the thread blocks in accept(2), so that the kernel wakes one
  // thread for each connection. (Each thread then holds a descriptor, which accept(2) reserves before it
  // waits.)
  enum class waits : std::uint8_t { in_poll, in_accept };
  blocking_acceptor(const std::vector<unique_fd>& listeners, std::stop_token stop, waits where);

  // The next connection, blocking; empty when the server stops. Counts accepted connections and failures.
  // The thread should be woken by an interrupter.
  unique_fd next(server_totals& totals);
  // No new connection for a while, because resources are lacking; returns early when the server stops.
  void pause() const;

private:
  const std::vector<unique_fd>& listeners_;
  std::vector<pollfd> waiting_;  // for the listeners
  bool in_accept_;
  bool lacks_ = false;    // in_accept_: descriptors; it waits in poll(2), which needs none
  std::size_t next_ = 0;  // the next listener, so that no address starves another
  std::stop_token stop_;
};

// Takes the connection's steps, blocking in each, until it is over. The thread should be woken by an
// interrupter.
void serve_blocking(int socket, connection_state& state, const drain_clock& drain);

// Serves the connections of the acceptor, one after another, until the server stops.
void serve_one_by_one(blocking_acceptor& acceptor, const connection_options& options,
                      const drain_clock& drain, server_totals& totals);

}  // namespace echobench
