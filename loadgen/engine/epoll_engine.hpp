// Moves the bytes of one worker's connections: one level-triggered epoll instance, writes tried at once.
//
// Connections are known by slot, 0 to slots - 1. The engine owns their sockets and one receive buffer for all
// of them; a session checks the bytes in place. What happens is told to a Handler, only from within
// poll() and wait() and, for the two questions about what to send, flush():
//
//   std::span<const std::byte> pending(slot, scratch);  // client_session::pending
//   void sent(slot, n);
//   void on_connected(slot);
//   void on_bytes(slot, std::span<const std::byte>);
//   void on_end(slot);         // the peer finished sending
//   void on_error(slot, errno);  // the connect failed, or the connection broke
//
// A handler may call connect(), flush() and close() for any slot. After on_end or on_error it must close.
#pragma once

#include "common/socket.hpp"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace echobench {

class epoll_engine {
public:
  // `stop_fd` (not owned) becomes readable when the run is to be broken off. Throws std::system_error.
  epoll_engine(std::size_t slots, int stop_fd);

  // Starts to connect an unused slot; `source` as in start_connect(). False with errno set when it failed at
  // once.
  bool connect(std::size_t slot, const endpoint& to, const endpoint* source) noexcept;

  // Sends what the slot's session has pending, as far as the socket takes it now; the rest follows by itself.
  template <class Handler>
  void flush(std::size_t slot, Handler& handler);

  void close(std::size_t slot) noexcept { slots_[slot].fd.reset(); }
  // The same with a reset, so that neither end keeps the port in TIME_WAIT.
  void abort(std::size_t slot) noexcept;

  // Handles some of the events that are there, without waiting. False: there were none.
  template <class Handler>
  bool poll(Handler& handler);

  // The same, but sleeps up to `longest` for the first of them when there are none. Returns how long it
  // slept: 0 when it found events at once, for to fetch those is work.
  template <class Handler>
  std::chrono::nanoseconds wait(std::chrono::nanoseconds longest, Handler& handler);

  // Whether stop_fd was seen readable.
  bool stop_requested() const noexcept { return stop_requested_; }

private:
  struct slot_state {
    unique_fd fd;
    std::uint32_t generation = 0;  // tells an event of this socket from one of its predecessor
    int send_error = 0;            // reported once the bytes that came before it have been read
    bool connecting = false;
    bool write_wanted = false;
  };

  static constexpr std::size_t events_per_wait =
      32;  // few, so that a due request does not wait for many replies
  static constexpr std::size_t buffer_size = 64U << 10;
  static constexpr std::uint64_t stop_token = ~std::uint64_t{0};

  std::uint64_t token_of(std::size_t slot) const noexcept {
    return (std::uint64_t{slots_[slot].generation} << 32) | slot;
  }
  std::size_t fetch(std::chrono::nanoseconds longest) noexcept;
  template <class Handler>
  void dispatch(std::size_t count, Handler& handler);
  std::ptrdiff_t receive(int fd) noexcept;
  static std::ptrdiff_t send(int fd, std::span<const std::byte> bytes) noexcept;
  void watch(std::size_t slot, std::uint32_t events) noexcept;

  template <class Handler>
  void handle(std::size_t slot, std::uint32_t events, Handler& handler);

  unique_fd epoll_;
  std::vector<slot_state> slots_;
  std::vector<std::byte> received_;
  std::vector<std::byte> scratch_;
  std::array<epoll_event, events_per_wait> events_;
  bool stop_requested_ = false;
};

template <class Handler>
void epoll_engine::flush(std::size_t slot, Handler& handler) {
  slot_state& state = slots_[slot];
  if (state.connecting || state.send_error != 0) return;
  for (auto bytes = handler.pending(slot, std::span(scratch_)); !bytes.empty();
       bytes = handler.pending(slot, std::span(scratch_))) {
    const auto n = send(state.fd.get(), bytes);
    if (n < 0 && errno != EAGAIN) {
      state.send_error = errno;  // the dead socket is readable: its last bytes, then the error
      return;
    }
    if (n > 0) handler.sent(slot, static_cast<std::size_t>(n));
    if (n < static_cast<std::ptrdiff_t>(bytes.size())) {
      if (!state.write_wanted) watch(slot, EPOLLIN | EPOLLOUT);
      state.write_wanted = true;
      return;
    }
  }
  if (state.write_wanted) watch(slot, EPOLLIN);
  state.write_wanted = false;
}

template <class Handler>
bool epoll_engine::poll(Handler& handler) {
  const std::size_t count = fetch(std::chrono::nanoseconds(0));
  dispatch(count, handler);
  return count > 0;
}

template <class Handler>
std::chrono::nanoseconds epoll_engine::wait(std::chrono::nanoseconds longest, Handler& handler) {
  if (poll(handler)) return std::chrono::nanoseconds(0);
  const auto start = std::chrono::steady_clock::now();
  const std::size_t count = fetch(longest);
  const auto slept = std::chrono::steady_clock::now() - start;
  dispatch(count, handler);
  return slept;
}

template <class Handler>
void epoll_engine::dispatch(std::size_t count, Handler& handler) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t token = events_[i].data.u64;
    if (token == stop_token) {
      stop_requested_ = true;
      continue;
    }
    const auto slot = static_cast<std::size_t>(token & 0xffff'ffff);
    if (slots_[slot].fd && token == token_of(slot)) handle(slot, events_[i].events, handler);
  }
}

template <class Handler>
void epoll_engine::handle(std::size_t slot, std::uint32_t events, Handler& handler) {
  slot_state& state = slots_[slot];
  if (state.connecting) {
    if (const int error = take_socket_error(state.fd.get()); error != 0) return handler.on_error(slot, error);
    state.connecting = false;
    watch(slot, EPOLLIN);
    return handler.on_connected(slot);
  }
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
    const auto n = receive(state.fd.get());
    if (n > 0) {
      handler.on_bytes(slot, std::span(received_).first(static_cast<std::size_t>(n)));
    } else if (n == 0 && state.send_error == 0) {
      return handler.on_end(slot);
    } else if (n == 0 || errno != EAGAIN) {
      return handler.on_error(slot, state.send_error != 0 ? state.send_error : errno);
    }
  }
  if ((events & EPOLLOUT) != 0 && state.write_wanted && state.fd) flush(slot, handler);
}

}  // namespace echobench
