#include "loadgen/accuracy/arrival_stamps.hpp"

#include "common/socket.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <thread>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr nanoseconds longest_start = 2s;  // of the kernel's taking times, where it does at all

}  // namespace

// The kernel begins to take times a little after it was asked, when a worker thread of its has run: what
// comes before has none.
arrival_stamps::arrival_stamps(int listener) {
  clock_.compare(100);
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
  message_with_control message;
  const ssize_t n = message.receive(fd, into, MSG_DONTWAIT);
  const auto time = n > 0 ? message.find<timespec>(SCM_TIMESTAMPNS) : std::nullopt;
  arrived = time ? std::optional(clock_.to_steady(*time)) : std::nullopt;
  return n;
}

}  // namespace echobench
