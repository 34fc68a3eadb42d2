// What an edge-triggered epoll(7) set has reported for a socket: it reports what has become possible once, so
// that this holds until a system call finds the contrary.
#pragma once

#include "servers/session/connection_state.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace echobench {

struct edges {
  static constexpr std::uint32_t events = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET;

  bool readable = false;
  bool writable = true;
  bool ended = false;   // by peer or failure: that came with data, perhaps, and no report will follow
  bool urgent = false;  // recv(2) ends at a mark then

  void note(std::uint32_t reported) noexcept {
    ended |= (reported & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    urgent |= (reported & EPOLLPRI) != 0;
    readable |= ended || (reported & EPOLLIN) != 0;
    writable |= ended || (reported & EPOLLOUT) != 0;
  }

  // recv(2), once; the next step must be to receive. What was received without filling the space was all that
  // there was (epoll(7), question 9), unless the peer has ended or has sent urgent data. True if there may be
  // more.
  bool receive(connection_state& state, int socket) {
    const auto space = state.space();
    const ssize_t n = ::recv(socket, space.data(), space.size(), MSG_DONTWAIT);
    if (n >= 0) {
      readable = static_cast<std::size_t>(n) == space.size() || ended || urgent;
      state.received(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      readable = false;
    } else if (errno != EINTR) {
      state.failed();
    }
    return readable;
  }
};

}  // namespace echobench
