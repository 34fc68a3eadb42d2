#include "servers/conformance/client.hpp"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include <cerrno>
#include <system_error>

namespace echobench::testing {
namespace {

// How many bytes a call that does not block has moved; 0 if it would have blocked.
std::size_t moved(ssize_t n, const char* what) {
  if (n < 0 && errno != EAGAIN) fail(what);
  return n < 0 ? 0 : static_cast<std::size_t>(n);
}

}  // namespace

void fail(const std::string& what) { throw std::system_error(errno, std::system_category(), what); }

bool ready_within(int fd, short events, std::chrono::milliseconds time) {
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return ::poll(&waiting, 1, static_cast<int>(time.count())) == 1;
}

client::client(const endpoint& server, buffers size)
    : fd_(::socket(server.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (size == buffers::small) {
    constexpr int size_of_each = 64 * 1024;  // bytes
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &size_of_each, sizeof size_of_each);
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &size_of_each, sizeof size_of_each);
  }
  const timeval timeout{.tv_sec = patience.count(), .tv_usec = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (::connect(fd_.get(), server.address(), server.size()) != 0) fail("connect to " + server.to_string());
}

void client::send(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0) fail("send");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

bool client::delivered() const {
  int unacknowledged = 0;
  if (::ioctl(fd_.get(), SIOCOUTQ, &unacknowledged) != 0) fail("SIOCOUTQ");
  return unacknowledged == 0;
}

std::size_t client::send_some(std::string_view data) {
  return moved(::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT), "send");
}

bytes client::receive(std::size_t n) {
  bytes got(n, '\0');
  std::size_t have = 0;
  while (have < n) {
    const ssize_t now = ::recv(fd_.get(), got.data() + have, n - have, 0);
    if (now < 0) fail("receive, after " + std::to_string(have) + " of " + std::to_string(n) + " bytes");
    if (now == 0) break;
    have += static_cast<std::size_t>(now);
  }
  got.resize(have);
  return got;
}

bytes client::receive_some(std::size_t n) {
  bytes got(n, '\0');
  got.resize(moved(::recv(fd_.get(), got.data(), n, MSG_DONTWAIT), "receive"));
  return got;
}

bytes client::receive_to_end() {
  bytes all;
  for (;;) {
    const bytes more = receive(1);
    if (more.empty()) return all;
    all += more;
    all += receive_some(std::size_t{64} * 1024);
  }
}

bool client::readable_within(std::chrono::milliseconds time) const {
  return ready_within(fd_.get(), POLLIN, time);
}

bool client::writable_within(std::chrono::milliseconds time) const {
  return ready_within(fd_.get(), POLLOUT, time);
}

void client::finish() { ::shutdown(fd_.get(), SHUT_WR); }

void client::reset() {
  set_reset_on_close(fd_.get());
  fd_.reset();
}

}  // namespace echobench::testing
