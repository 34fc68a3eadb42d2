// What moves the bytes of one worker's connections.
//
// Connections are known by slot, 0 to slots - 1. A transport owns their sockets and the buffers that it
// receives into; a session checks the bytes in place. Used by one thread, the one that calls enter().
#pragma once

#include "common/socket.hpp"
#include "loadgen/plan/engine.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace echobench {

// What happens to the connections. Called only from within flush(), poll() and wait(); it may call connect(),
// flush(), receive(), close() and abort() for any slot. After on_end or on_error it must close.
class transport_events {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // What is to be sent next, put into `scratch` or lying elsewhere, where it must stay as it is for the life
  // of the transport. Empty: nothing.
  virtual std::span<const std::byte> pending(std::size_t slot, std::span<std::byte> scratch) noexcept = 0;
  // So many of these bytes were taken: they will be sent, or on_error() follows.
  virtual void taken(std::size_t slot, std::size_t n) noexcept = 0;
  // The kernel was asked at `when` to send `n` of the bytes that were taken: right before send(2), or before
  // the io_uring_enter(2) that consumed the entry. Comes before their echo.
  virtual void handed_over(std::size_t slot, std::size_t n, time_point when) noexcept = 0;
  // The kernel did not take the last `n` of them after all: they will be handed over once more.
  virtual void given_back(std::size_t slot, std::size_t n) noexcept = 0;

  virtual void on_connected(std::size_t slot) = 0;
  // Where settings.timestamps: before on_bytes, when the kernel had sent the last bytes that were taken, and
  // when it had received the ones that come next.
  virtual void on_kernel_times(std::size_t, time_point /* sent */, time_point /* received */) {}
  // `arrived`: when they were in the memory of this process.
  virtual void on_bytes(std::size_t slot, std::span<const std::byte> bytes, time_point arrived) = 0;
  virtual void on_end(std::size_t slot) = 0;  // the peer finished sending
  // The connect failed, or the connection broke. What had arrived before was reported before.
  virtual void on_error(std::size_t slot, int error) = 0;

protected:
  ~transport_events() = default;
};

// How a connection is read.
enum class reading : std::uint8_t {
  as_it_comes,
  on_demand,  // when receive() asks for it: a peer that reads slowly
};

class transport {
public:
  virtual ~transport() = default;

  // The calling thread is the one that uses it from now on. Throws std::system_error.
  virtual void enter() {}

  // Starts to connect an unused slot; `source` as in start_connect(). False with errno set when it failed at
  // once.
  virtual bool connect(std::size_t slot, const endpoint& to, const endpoint* source, reading how) = 0;

  // Sends what the slot has pending, now or when the kernel is entered next, and goes on by itself while
  // there is more.
  virtual void flush(std::size_t slot) = 0;

  // on_demand: reports up to `most` bytes, once, when there are some; at most 64 KiB.
  virtual void receive(std::size_t slot, std::size_t most) = 0;

  // The round trip that the kernel measured when the slot was connected: no server takes part in a handshake.
  // 0: not known.
  virtual std::chrono::microseconds handshake(std::size_t slot) const noexcept = 0;

  // Whether the socket has something that was not reported yet: bytes, an end, an established connection. A
  // system call.
  virtual bool has_news(std::size_t slot) const noexcept = 0;

  virtual void close(std::size_t slot) noexcept = 0;
  // The same with a reset, so that neither end keeps the port in TIME_WAIT.
  virtual void abort(std::size_t slot) noexcept = 0;

  // Sends what was gathered and reports what has happened, without waiting. False: there was nothing to do.
  virtual bool poll() = 0;

  // The same, but sleeps up to `longest` for something to happen. Returns how long it slept: 0 when something
  // had at once, for to fetch that is work.
  virtual std::chrono::nanoseconds wait(std::chrono::nanoseconds longest) = 0;

  // Whether the run is to be broken off.
  bool stop_requested() const noexcept { return stop_requested_; }

protected:
  // What has_news() needs to know of a socket.
  static bool is_readable(int fd, bool connecting) noexcept;

  bool stop_requested_ = false;
};

// Why there is no io_uring here that can be used; empty: there is.
std::string io_uring_unavailable_reason();

struct transport_settings {
  std::size_t slots = 0;
  std::size_t message_size = 0;  // bytes of the largest
  std::size_t pipeline = 1;      // messages in flight on a connection
  bool kept = true;              // connections outlive their first reply
  bool timestamps = false;       // epoll only: on_kernel_times is wanted
  int stop_fd = -1;              // becomes readable when the run is to be broken off; not owned
};

// `events` must outlive it. Throws std::system_error that says what is missing.
std::unique_ptr<transport> make_transport(engine which, const transport_settings& settings,
                                          transport_events& events);

}  // namespace echobench
