// What a server listens on, and when it stops: the parts of the process contract that are the same for all
// models.
#pragma once

#include "common/socket.hpp"
#include "servers/variant.hpp"

#include <chrono>
#include <utility>
#include <vector>

namespace echobench {

// The listening sockets of a server: for each of its loops one for each address, among which the kernel
// divides connections (SO_REUSEPORT). Port 0 is resolved once and used for every address and loop. A port in
// use is refused although loops share it.
class listener_set {
public:
  listener_set(const server_options& options, unsigned loops);

  const std::vector<endpoint>& endpoints() const noexcept { return endpoints_; }
  // The number of accept queues among which the kernel divides connections, closed ones included.
  std::size_t loops() const noexcept { return loops_.size(); }
  // The sockets of one loop, one for each address; they stay open until close().
  const std::vector<unique_fd>& of_loop(unsigned index) const noexcept { return loops_[index]; }
  void close(unsigned index) noexcept { loops_[index].clear(); }
  // Nobody can connect any more, and who waits is refused: for every process that has the sockets, which stay
  // open. Safe in a signal handler.
  void end_listening() const noexcept;
  // Hands the sockets of one loop over.
  std::vector<unique_fd> take(unsigned index) noexcept { return std::exchange(loops_[index], {}); }

private:
  std::vector<endpoint> endpoints_;
  std::vector<std::vector<unique_fd>> loops_;
};

// accept4(2); a connection has the options of its listener. Empty, with errno set, if there is none to
// accept.
enum class accepted_socket { blocking, non_blocking };
unique_fd accept_connection(int listener, accepted_socket mode) noexcept;

// Accepting failed because a resource is lacking that comes back (descriptors, memory): pause, do not spin.
bool accept_must_pause(int error) noexcept;
inline constexpr std::chrono::milliseconds accept_pause{100};
// Whether somebody waits for it: accept4(2) takes a descriptor first, and fails for want of one although
// nobody does.
bool connection_waits(int listener) noexcept;

// Ends listening when the server is to stop, while threads or processes may still be in accept(2).
class end_listening_on_stop {
public:
  end_listening_on_stop(const std::stop_token& stop, const listener_set& listeners)
      : callback_(stop, ender{&listeners}) {}

private:
  struct ender {
    const listener_set* listeners;
    void operator()() const noexcept { listeners->end_listening(); }
  };
  std::stop_callback<ender> callback_;
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

// A timerfd that can be waited for: readable when a time has come. EPOLLET reports it to one thread, and
// again after the next set().
class timer_event {
public:
  using clock = std::chrono::steady_clock;

  timer_event();
  int fd() const noexcept { return fd_.get(); }
  // clock::time_point::max(): never.
  void set(clock::time_point at) const noexcept;

private:
  unique_fd fd_;
};

// Signals an event when the server is to stop; safe in a signal handler.
class wake_on_stop {
public:
  wake_on_stop(const std::stop_token& stop, const wake_event& event) : callback_(stop, signaller{&event}) {}

private:
  struct signaller {
    const wake_event* event;
    void operator()() const noexcept { event->signal(); }
  };
  std::stop_callback<signaller> callback_;
};

}  // namespace echobench
