#include "servers/serving/listener.hpp"

#include "common/timespec.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace echobench {
namespace {

// The first socket of each address. It is bound without SO_REUSEPORT, which proves that nobody else has the
// port, and allows sharing only then.
std::vector<unique_fd> bind_exclusively(std::vector<endpoint>& endpoints, std::uint16_t port, int backlog) {
  std::vector<unique_fd> sockets;
  for (endpoint& where : endpoints) {
    where.set_port(port);
    sockets.push_back(listen_on(where, backlog, reuse_port::no));
    where = endpoint::local_of(sockets.back().get());
    port = where.port();
    allow_port_sharing(sockets.back().get());
  }
  return sockets;
}

}  // namespace

listener_set::listener_set(const server_options& options, unsigned loops) {
  for (const std::string& address : options.bind) {
    endpoint where = resolve(address, options.port);
    const auto same = [&](const endpoint& other) { return other.to_string() == where.to_string(); };
    if (const auto first = std::ranges::find_if(endpoints_, same); first != endpoints_.end()) {
      const auto& name = options.bind[static_cast<std::size_t>(first - endpoints_.begin())];
      throw usage_error("--bind: " + name + " and " + address + " are the same address; name it once");
    }
    endpoints_.push_back(std::move(where));
  }

  // A port that is free at the first address may be in use at the second: then another one is tried.
  constexpr int attempts = 16;
  for (int attempt = 1; loops_.empty(); ++attempt) {
    try {
      loops_.push_back(bind_exclusively(endpoints_, options.port, static_cast<int>(options.backlog)));
    } catch (const std::system_error& error) {
      if (options.port != 0 || error.code() != std::errc::address_in_use || attempt == attempts) throw;
    }
  }
  while (loops_.size() < loops) {
    std::vector<unique_fd> sockets;
    for (const endpoint& where : endpoints_) {
      sockets.push_back(listen_on(where, static_cast<int>(options.backlog), reuse_port::yes));
    }
    loops_.push_back(std::move(sockets));
  }
}

// inet_shutdown() in the kernel's net/ipv4/af_inet.c.
void listener_set::end_listening() const noexcept {
  for (const std::vector<unique_fd>& sockets : loops_) {
    for (const unique_fd& socket : sockets) ::shutdown(socket.get(), SHUT_RD);
  }
}

unique_fd accept_connection(int listener, accepted_socket mode) noexcept {
  return unique_fd(::accept4(listener, nullptr, nullptr,
                             SOCK_CLOEXEC | (mode == accepted_socket::non_blocking ? SOCK_NONBLOCK : 0)));
}

bool accept_must_pause(int error) noexcept {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

bool connection_waits(int listener) noexcept {
  pollfd waiting{.fd = listener, .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, 0) == 1;
}

wake_event::wake_event() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (!fd_) throw std::system_error(errno, std::system_category(), "eventfd");
}

void wake_event::signal() const noexcept { ::eventfd_write(fd_.get(), 1); }

void wake_event::clear() const noexcept {
  eventfd_t value = 0;
  ::eventfd_read(fd_.get(), &value);
}

timer_event::timer_event() : fd_(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  if (!fd_) throw std::system_error(errno, std::system_category(), "timerfd_create");
}

void timer_event::set(clock::time_point at) const noexcept {
  itimerspec time{};  // zero: never
  if (at != clock::time_point::max()) time.it_value = to_timespec(at.time_since_epoch());
  ::timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &time, nullptr);
}

}  // namespace echobench
