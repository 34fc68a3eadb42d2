#include "loadgen/transport/kernel_timestamps.hpp"

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

constexpr std::chrono::milliseconds clocks_are_read_every(100);

// The software timestamp among the control messages.
std::optional<timespec> software_time(msghdr& message) {
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_TIMESTAMPING) continue;
    scm_timestamping times;
    std::memcpy(&times, CMSG_DATA(header), sizeof times);
    if (times.ts[0].tv_sec != 0) return timespec{times.ts[0].tv_sec, times.ts[0].tv_nsec};
  }
  return std::nullopt;
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
  alignas(cmsghdr) std::array<std::byte, 512> control;
  for (;;) {
    msghdr message{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) return last;
    if (const auto time = software_time(message)) last = to_steady(*time);
  }
}

ssize_t kernel_timestamps::receive(int fd, std::span<std::byte> into, time_point& arrived) {
  alignas(cmsghdr) std::array<std::byte, 512> control;
  iovec where{.iov_base = into.data(), .iov_len = into.size()};
  msghdr message{};
  message.msg_iov = &where;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = ::recvmsg(fd, &message, 0);
  const auto time = n > 0 ? software_time(message) : std::nullopt;
  arrived = time ? to_steady(*time) : time_point();
  return n;
}

kernel_timestamps::time_point kernel_timestamps::to_steady(const timespec& time) {
  const auto now = std::chrono::steady_clock::now();
  if (now - read_ >= clocks_are_read_every) {
    const auto of_day = std::chrono::system_clock::now().time_since_epoch();
    const auto after = std::chrono::steady_clock::now();
    ahead_ = of_day - (now + (after - now) / 2).time_since_epoch();
    read_ = now;
  }
  return time_point(std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec) - ahead_);
}

}  // namespace echobench
