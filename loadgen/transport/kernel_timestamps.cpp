#include "loadgen/transport/kernel_timestamps.hpp"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>

namespace echobench {
namespace {

std::optional<timespec> software_time(message_with_control& message) {
  const auto times = message.find<scm_timestamping>(SCM_TIMESTAMPING);
  if (!times || times->ts[0].tv_sec == 0) return std::nullopt;
  return timespec{times->ts[0].tv_sec, times->ts[0].tv_nsec};
}

}  // namespace

void kernel_timestamps::enable(int fd) {
  const unsigned wanted = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE |
                          SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_TSONLY;
  if (::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &wanted, sizeof wanted) != 0) {
    throw std::system_error(errno, std::system_category(), "--accuracy: SO_TIMESTAMPING");
  }
}

std::optional<kernel_timestamps::time_point> kernel_timestamps::take_sent(int fd) {
  std::optional<time_point> last;
  for (message_with_control message; message.receive(fd, {}, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0;) {
    if (const auto time = software_time(message)) last = clock_.to_steady(*time);
  }
  return last;
}

ssize_t kernel_timestamps::receive(int fd, std::span<std::byte> into, time_point& arrived) {
  message_with_control message;
  const ssize_t n = message.receive(fd, into, 0);
  const auto time = n > 0 ? software_time(message) : std::nullopt;
  arrived = time ? clock_.to_steady(*time) : time_point();
  return n;
}

}  // namespace echobench
