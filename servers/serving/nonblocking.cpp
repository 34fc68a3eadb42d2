#include "servers/serving/nonblocking.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace echobench {

using step = connection_state::step;

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

std::size_t bytes_readable(int fd) noexcept {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

}  // namespace echobench
