#include "servers/serving/nonblocking.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace echobench {

using step = connection_state::step;

namespace {

std::size_t bytes_queued(int fd) noexcept {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

void make_urgent_data_part_of_the_stream(int fd, bool they_are) noexcept {
  const int value = they_are ? 1 : 0;
  ::setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &value, sizeof value);
}

}  // namespace

void receive_available(connection_state& state, int fd) {
  if (state.next() != step::receive) return;
  const auto space = state.space();
  const ssize_t n = ::recv(fd, space.data(), space.size(), MSG_DONTWAIT);
  if (n >= 0) {
    state.received(static_cast<std::size_t>(n));
  } else if (errno != EAGAIN && errno != EINTR) {
    state.failed();
  }
}

void advance(connection_state& state, int fd) {
  for (;;) {
    switch (state.next()) {
      case step::send: {
        const auto bytes = state.pending();
        const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n >= 0) {
          state.sent(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN) {
          return;
        } else if (errno != EINTR) {
          state.failed();
        }
        break;
      }
      case step::end_sending:
        ::shutdown(fd, SHUT_WR);
        state.sending_ended();
        break;
      default: return;
    }
  }
}

// SIOCINQ ends at urgent data, unless they are part of the stream (tcp_inq() in the kernel's net/tcp.h). For
// a moment they are, which adds the one byte that recv(2) will leave out.
std::size_t bytes_readable(int fd) noexcept {
  const std::size_t before_urgent = bytes_queued(fd);
  make_urgent_data_part_of_the_stream(fd, true);
  const std::size_t all = bytes_queued(fd);
  make_urgent_data_part_of_the_stream(fd, false);
  return all > before_urgent ? all - 1 : before_urgent;
}

}  // namespace echobench
