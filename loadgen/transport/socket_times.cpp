#include "loadgen/transport/socket_times.hpp"

#include <netinet/in.h>

#include <cerrno>
#include <system_error>

namespace echobench {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

ssize_t message_with_control::receive(int fd, std::span<std::byte> into, int flags) {
  iovec where{.iov_base = into.data(), .iov_len = into.size()};
  message_ = {};
  message_.msg_iov = &where;
  message_.msg_iovlen = 1;
  message_.msg_control = control_.data();
  message_.msg_controllen = control_.size();
  const ssize_t n = ::recvmsg(fd, &message_, flags);
  message_.msg_iov = nullptr;
  if (n < 0) message_.msg_controllen = 0;
  return n;
}

stamped_arrivals::stamped_arrivals() : asking_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
  const int fd = asking_.get();
  const int yes = 1;
  const timeval patience{.tv_sec = 0, .tv_usec = 100'000};
  sockaddr_in own{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof own;
  auto* const address = reinterpret_cast<sockaddr*>(&own);
  if (::setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) != 0 ||
      ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0 ||
      ::bind(fd, address, size) != 0 || ::getsockname(fd, address, &size) != 0 ||
      ::connect(fd, address, size) != 0) {
    throw std::system_error(errno, std::system_category(), "a datagram to oneself, with its time");
  }
  const auto end = steady_clock::now() + 2s;
  for (bool stamped = false; !stamped && steady_clock::now() < end;) {
    std::byte datagram{};
    message_with_control received;
    stamped = ::send(fd, &datagram, 1, 0) == 1 && received.receive(fd, std::span(&datagram, 1), 0) == 1 &&
              received.find<timespec>(SCM_TIMESTAMPNS).has_value();
  }
}

time_of_day_clock::time_point time_of_day_clock::to_steady(const timespec& time_of_day) {
  if (steady_clock::now() - compared_ >= every_) compare(tries_);
  return time_point(std::chrono::seconds(time_of_day.tv_sec) + nanoseconds(time_of_day.tv_nsec) - ahead_);
}

void time_of_day_clock::compare(int tries) {
  nanoseconds closest = nanoseconds::max();
  for (int i = 0; i < tries; ++i) {
    const auto before = steady_clock::now();
    const nanoseconds of_day = std::chrono::system_clock::now().time_since_epoch();
    const auto after = steady_clock::now();
    if (after - before >= closest) continue;
    closest = after - before;
    ahead_ = of_day - (before + closest / 2).time_since_epoch();
  }
  compared_ = steady_clock::now();
}

}  // namespace echobench
