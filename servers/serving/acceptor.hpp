// Accepting from non-blocking listeners: at all of them in turn, up to the limit on connections, with a pause
// when a resource is lacking.
#pragma once

#include "servers/serving/server_loops.hpp"

#include <atomic>
#include <cerrno>
#include <new>

namespace echobench {

// Not thread-safe, except for what is said of its pause. What it refers to must outlive it.
class acceptor {
public:
  using clock = connection_state::clock;

  acceptor(connection_count& connections, const std::vector<unique_fd>& listeners)
      : connections_(connections), listeners_(listeners) {}

  // At most so many at a time from each listener; then the existing connections are served.
  void accept_at_once(int most) noexcept { at_once_ = most; }

  // Accepts what waits, and calls admit(socket) for each; a bounded number, so that the existing connections
  // are served in between. False: accepting pauses from now on.
  template <class Admit>
  bool accept_available(server_totals& totals, Admit admit,
                        accepted_socket mode = accepted_socket::non_blocking) {
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      const int listener = listeners_[next_].get();
      for (int accepted = 0; accepted < at_once_; ++accepted) {
        if (!connections_.try_add()) return pause();
        unique_fd socket = accept_connection(listener, mode);
        if (!socket) {
          connections_.remove();
          if (!accept_must_pause(errno)) break;
          if (connection_waits(listener)) totals.count(server_error::accept);
          return pause();
        }
        try {
          admit(std::move(socket));
        } catch (const std::bad_alloc&) {  // the client is turned away
          connections_.remove();
          totals.count(server_error::accept);
          return pause();
        }
      }
      next_ = (next_ + 1) % listeners_.size();
    }
    return true;
  }

  // No new connections for a while: false.
  bool pause() {
    next_ = (next_ + 1) % listeners_.size();  // no address starves another
    paused_until_ = clock::now() + accept_pause;
    return false;
  }
  // Accepting is to begin again: the caller watches the listeners.
  void resume() noexcept { paused_until_ = connection_state::never; }

  // ---- from any thread

  // `never` when accepting does not pause.
  clock::time_point paused_until() const noexcept { return paused_until_.load(std::memory_order_relaxed); }
  bool pauses() const noexcept { return paused_until() != connection_state::never; }
  // A connection has ended: a pause ends, too.
  void end_pause() noexcept {
    if (pauses()) paused_until_ = clock::now();
  }

private:
  connection_count& connections_;
  const std::vector<unique_fd>& listeners_;
  int at_once_ = 128;
  std::size_t next_ = 0;  // the listener that is first
  std::atomic<clock::time_point> paused_until_ = connection_state::never;
};

}  // namespace echobench
