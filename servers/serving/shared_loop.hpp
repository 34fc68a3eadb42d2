// One epoll(7) set whose connections several threads serve, each by one thread at a time.
//
// A connection is reported once (EPOLLONESHOT); the thread that serves it then has the set report it again.
// Whatever else happens to it, because its deadline is reached or the server stops, is noticed by a thread
// that serves it if nobody does, and otherwise leaves that to the thread that does. No thread waits for
// another.
//
// Threads wait without a time: the set reports the next deadline, too (timerfd_create(2)), to a thread that
// waits while others work.
//
// A connection stays in memory when it has ended, and is used again: a report that comes late finds it
// unused, or open for another client, for which the report means nothing, because the sockets do not block.
#pragma once

#include "servers/serving/acceptor.hpp"
#include "servers/serving/epoll_set.hpp"
#include "servers/serving/timers.hpp"

#include <atomic>
#include <deque>
#include <mutex>
#include <optional>
#include <span>

namespace echobench {

struct shared_connection : timer {
  enum class status : std::uint8_t { unused, waits, served, served_again };

  std::atomic<status> is = status::unused;
  unique_fd socket;  // what follows is used by the thread that serves the connection
  std::optional<connection_state> state;
  bool in_set = false;
  shared_connection* next = nullptr;  // in a list
};

// Safe from any thread. What it refers to must outlive it.
class shared_loop {
public:
  using connection = shared_connection;
  // server_of_loops makes one loop, which all threads run.
  static constexpr bool one_for_all_threads = true;

  shared_loop(const shared_loop&) = delete;
  shared_loop& operator=(const shared_loop&) = delete;

  const server_totals& totals() const noexcept { return totals_; }  // when the loop is over

protected:
  using clock = connection_state::clock;

  // Who does work for which the request asks for another thread.
  enum class offloaded_work : bool { to_this_thread, to_offload_pool };

  shared_loop(shared_by_loops& shared, unsigned index, offloaded_work offloaded);
  ~shared_loop() = default;

  // ---- what a model defines

  // Something has happened to the connection: this thread serves it, or gives it to another one.
  virtual void ready(connection& conn) = 0;

  // ---- what a model calls

  // The server has stopped and its last connection has ended. A thread that finds it over calls wake(), so
  // that the others find it, too.
  bool over() const noexcept { return draining_ && open_ == 0; }
  void wake() const noexcept { wake_.signal(); }

  // Waits until something is reported.
  std::span<const epoll_event> wait(std::span<epoll_event> room) {
    return set_.wait(room, connection_state::never);
  }
  // After each wait: calls ready() for the connections that were reported, and attends to everything else.
  void take(std::span<const epoll_event> reports);
  // Receives, if that is next, and takes the connection's steps, up to one that must wait.
  void serve(connection& conn);

  shared_by_loops& shared_;

private:
  using step = connection_state::step;

  void attend();
  connection* take_due();
  void set_timer() noexcept;
  bool claim(connection& conn) noexcept;
  bool release(connection& conn) noexcept;
  void carry_on(connection& conn);
  bool take_steps(connection& conn);
  bool wait_for_next(connection& conn);
  void follow(connection& conn);
  connection* admit(unique_fd socket);
  void remove(connection& conn);

  void accept_available();
  void resume_accepting();
  void watch_listeners() noexcept;
  void begin_draining();
  void all_ready();

  const std::vector<unique_fd>& listeners_;
  const unsigned index_;
  const bool offloads_;
  buffer_pool pool_{buffer_pool::use::many_threads};
  epoll_set set_;
  wake_event wake_;  // readable when the server stops, or is over
  timer_event timer_;
  std::atomic<bool> draining_ = false;
  std::atomic<std::size_t> open_ = 0;

  std::mutex accepting_;  // of the listeners and the acceptor
  acceptor acceptor_;

  std::mutex mutex_;  // of what follows
  std::deque<connection> connections_;
  connection* unused_ = nullptr;
  timers<connection> timers_;
  clock::time_point timer_at_ = connection_state::never;
  server_totals totals_;
  wake_on_stop on_stop_{shared_.stop, wake_};
};

}  // namespace echobench
