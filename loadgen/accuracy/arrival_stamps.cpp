#include "loadgen/accuracy/arrival_stamps.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace echobench {

arrival_stamps::arrival_stamps(int listener) {
  clock_.compare(100);
  const int yes = 1;
  if (::setsockopt(listener, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) != 0)
    throw std::system_error(errno, std::system_category(), "SO_TIMESTAMPNS");
}

ssize_t arrival_stamps::receive(int fd, std::span<std::byte> into, std::optional<time_point>& arrived) {
  message_with_control message;
  const ssize_t n = message.receive(fd, into, MSG_DONTWAIT);
  const auto time = n > 0 ? message.find<timespec>(SCM_TIMESTAMPNS) : std::nullopt;
  arrived = time ? std::optional(clock_.to_steady(*time)) : std::nullopt;
  return n;
}

}  // namespace echobench
