#include "servers/serving/session_io.hpp"

#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace echobench {

ssize_t receive_into(echo_session& session, int fd) {
  const auto space = session.recv_space();
  if (space.empty()) {
    errno = EAGAIN;
    return -1;
  }
  const ssize_t n = ::recv(fd, space.data(), space.size(), 0);
  if (n > 0) session.received(static_cast<std::size_t>(n));
  if (n == 0) session.peer_finished();
  return n;
}

bool may_try_again(int error) noexcept { return error == EAGAIN || error == EINTR; }

std::size_t bytes_readable(int fd) noexcept {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

discarded discard_input(int fd) noexcept {
  std::array<std::byte, discard_size> forgotten;
  for (int turn = 0; turn < 16; ++turn) {
    const ssize_t n = ::recv(fd, forgotten.data(), forgotten.size(), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && !may_try_again(errno))) return discarded::end;
    if (n < 0) break;
  }
  return discarded::more;
}

}  // namespace echobench
