#include "loadgen/transport/socket_times.hpp"

namespace echobench {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

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
