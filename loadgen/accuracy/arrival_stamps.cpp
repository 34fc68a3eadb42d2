#include "loadgen/accuracy/arrival_stamps.hpp"

#include "common/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <system_error>
#include <thread>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr nanoseconds clocks_compared_every = 1s;
constexpr nanoseconds longest_start = 2s;  // of the kernel's taking times, where it does at all

}  // namespace

// The kernel begins to take times a little after it was asked, when a worker thread of its has run: what
// comes before has none.
arrival_stamps::arrival_stamps(int listener) {
  compare_clocks(100);
  const int yes = 1;
  if (::setsockopt(listener, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) != 0)
    throw std::system_error(errno, std::system_category(), "SO_TIMESTAMPNS");
  const auto end = steady_clock::now() + longest_start;
  while (!is_stamped(listener) && steady_clock::now() < end) std::this_thread::sleep_for(1ms);
}

bool arrival_stamps::is_stamped(int listener) {
  const unique_fd sender = start_connect(endpoint::local_of(listener), nullptr);
  pollfd ready{.fd = listener, .events = POLLIN, .revents = 0};
  if (!sender || ::poll(&ready, 1, 100) != 1) return false;
  const unique_fd receiver(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  const std::byte sent{};
  ready.fd = receiver.get();
  if (::send(sender.get(), &sent, 1, MSG_NOSIGNAL) != 1 || ::poll(&ready, 1, 100) != 1) return false;
  std::byte received{};
  std::optional<time_point> arrived;
  return receive(receiver.get(), std::span(&received, 1), arrived) == 1 && arrived.has_value();
}

ssize_t arrival_stamps::receive(int fd, std::span<std::byte> into, std::optional<time_point>& arrived) {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(timespec))> control;
  iovec where{.iov_base = into.data(), .iov_len = into.size()};
  msghdr message{};
  message.msg_iov = &where;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t n = ::recvmsg(fd, &message, MSG_DONTWAIT);
  arrived.reset();
  if (n <= 0) return n;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time;
    std::memcpy(&time, CMSG_DATA(part), sizeof time);
    arrived = to_steady(time);
  }
  return n;
}

arrival_stamps::time_point arrival_stamps::to_steady(const timespec& time_of_day) {
  if (steady_clock::now() - compared_ >= clocks_compared_every) compare_clocks(10);
  return time_point(std::chrono::seconds(time_of_day.tv_sec) + nanoseconds(time_of_day.tv_nsec) - ahead_);
}

// The closest pair of readings is the one that nothing came between.
void arrival_stamps::compare_clocks(int tries) {
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
