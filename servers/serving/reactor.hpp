// One epoll set and the thread that waits on it: listeners that pause, connections, deadlines, and
// connections that other threads hand back. What every model shares that waits in epoll_wait(2); what is done
// with a ready connection is the model's.
#pragma once

#include "servers/serving/connection_count.hpp"
#include "servers/serving/listener.hpp"
#include "servers/serving/nonblocking_connection.hpp"

#include <sys/epoll.h>

#include <functional>
#include <mutex>
#include <set>
#include <span>
#include <vector>

namespace echobench {

class reactor {
public:
  using clock = drain_clock::clock;
  using wait = nonblocking_connection::wait;

  // A connection with its place in the epoll set and among the alarms.
  struct connection : nonblocking_connection {
    using nonblocking_connection::nonblocking_connection;
    std::uint32_t events = 0;         // registered with epoll; 0: not in the set
    clock::time_point alarm = never;  // never later than deadline()
    bool handed_out = false;
    wait outcome = wait::readable;  // with which it comes back
  };

  // How a ready connection is reported: as long as it is ready, or once, until it is resumed.
  enum class report : std::uint32_t { level = 0, once = EPOLLONESHOT };

  // Accepts from the listeners of one loop, and closes them when the server stops. All references must
  // outlive the reactor.
  reactor(const server_options& options, listener_set& listeners, unsigned loop, connection_count& count,
          buffer_pool& pool, const drain_clock& drain, report how);

  // Waits until the server stops and the last connection has ended. `on_ready` gets each connection that is
  // ready; it either advances and resumes it, or hands it out. `on_offload` gets each that waits for
  // offload, handed out already.
  server_totals run(const std::stop_token& stop, const std::function<void(connection&)>& on_ready,
                    const std::function<void(connection&)>& on_offload);

  // The connection waits for `next`. On the reactor's thread.
  void resume(connection& who, wait next);

  // Another thread has the connection from now on. On the reactor's thread.
  void hand_out(connection& who);
  // It comes back to wait for `next`; wait::offload says that the offloaded work is done. From any thread,
  // and the last that it does with the connection.
  void hand_back(connection& who, wait next);

private:
  struct earlier {
    bool operator()(const connection* a, const connection* b) const noexcept {
      return a->alarm != b->alarm ? a->alarm < b->alarm : std::less<>()(a, b);
    }
  };

  bool control(int operation, int fd, std::uint32_t events, void* tag) noexcept;
  int wait_for_events(std::span<epoll_event> events) const;
  void accept_all();
  bool open_accepting();
  void pause_accepting();
  bool watch(connection& who, std::uint32_t events) noexcept;
  void set_alarm(connection& who, clock::time_point when);
  void destroy(connection& who);
  void take_back();
  void call_due();
  void begin_draining();
  void abort_all();

  const server_options& options_;
  listener_set& listeners_;
  unsigned loop_;
  connection_count& count_;
  buffer_pool& pool_;
  const drain_clock& drain_;
  report report_;
  unique_fd epoll_;
  wake_event wake_;
  std::function<void(connection&)> on_offload_;
  boost::intrusive::list<connection> connections_;
  std::set<connection*, earlier> alarms_;
  clock::time_point accept_at_ = clock::time_point::max();  // accepting has paused until then
  bool accepting_ = false;
  bool draining_ = false;
  server_totals totals_;
  std::mutex mutex_;
  std::vector<connection*> handed_back_;  // guarded by mutex_
};

}  // namespace echobench
