// What every server listens on, and when it stops: the parts of the process contract that no model changes.
#pragma once

#include "common/socket.hpp"
#include "servers/variant.hpp"

#include <atomic>
#include <chrono>
#include <stop_token>
#include <utility>
#include <vector>

namespace echobench {

// The listening sockets of a server: `copies` of them for each address, which the kernel balances
// (SO_REUSEPORT). Port 0 is resolved once and used for every address. A port in use is refused although
// copies share it.
class listener_set {
public:
  listener_set(const server_options& options, unsigned copies);

  const std::vector<endpoint>& endpoints() const noexcept { return endpoints_; }
  // The sockets of one copy, one for each address; they stay open until close().
  const std::vector<unique_fd>& copy(unsigned index) const noexcept { return copies_[index]; }
  void close(unsigned index) noexcept { copies_[index].clear(); }
  // Hands the sockets of one copy over.
  std::vector<unique_fd> take(unsigned index) noexcept { return std::exchange(copies_[index], {}); }

private:
  std::vector<endpoint> endpoints_;
  std::vector<std::vector<unique_fd>> copies_;
};

// accept4(2) with the options that every connection has. Empty, with errno set, when there is none to accept.
enum class accepted_socket { blocking, non_blocking };
unique_fd accept_connection(int listener, accepted_socket mode) noexcept;

// Accepting failed for want of something that comes back (descriptors, memory): pause, do not spin.
bool accept_must_pause(int error) noexcept;
inline constexpr std::chrono::milliseconds accept_pause{100};

// Bytes that the system has received and nobody has read (tcp(7), SIOCINQ).
std::size_t bytes_readable(int fd) noexcept;

// A connection that has sent everything is shut down for sending, and input is discarded until its end or
// this long, so that the last reply is not lost to a reset (which close(2) sends when unread input is left).
inline constexpr std::chrono::seconds linger_time{1};

// A server may use this much memory for discarding; every thread has one of its own.
inline constexpr std::size_t discard_size = 16 * 1024;

// Reads and forgets what has arrived, a bounded amount. `more` when the peer may still send.
enum class discarded { more, end };
discarded discard_input(int fd) noexcept;

// The time that draining may take, counted from the request to stop. Safe to ask from any thread.
class drain_clock {
public:
  using clock = std::chrono::steady_clock;

  drain_clock(const std::stop_token& stop, std::chrono::nanoseconds timeout)
      : timeout_(timeout), on_stop_(stop, starter{this}) {}

  bool stopping() const noexcept { return deadline_.load(std::memory_order_acquire) != never; }
  bool expired() const noexcept { return clock::now() >= deadline(); }
  clock::time_point deadline() const noexcept {
    return clock::time_point(clock::duration(deadline_.load(std::memory_order_acquire)));
  }

private:
  static constexpr clock::rep never = clock::time_point::max().time_since_epoch().count();
  struct starter {
    drain_clock* self;
    void operator()() const noexcept {
      self->deadline_.store((clock::now() + self->timeout_).time_since_epoch().count(),
                            std::memory_order_release);
    }
  };

  clock::duration timeout_;
  std::atomic<clock::rep> deadline_{never};
  std::stop_callback<starter> on_stop_;  // last: it may fire while it is constructed
};

// An eventfd that can be waited for with poll or epoll: written from any thread or from a stop request.
class wake_event {
public:
  wake_event();
  int fd() const noexcept { return fd_.get(); }
  void signal() const noexcept;
  void clear() const noexcept;

private:
  unique_fd fd_;
};

}  // namespace echobench
