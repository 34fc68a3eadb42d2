#include "common/socket.hpp"

#include "common/process.hpp"
#include "common/timespec.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>

namespace echobench {
namespace {

void set_option(int fd, int level, int name, int value, const char* what) {
  if (::setsockopt(fd, level, name, &value, sizeof value) != 0) {
    throw std::system_error(errno, std::system_category(), what);
  }
}

// What getaddrinfo(3) says, in its own words.
class resolver_errors final : public std::error_category {
public:
  const char* name() const noexcept override { return "getaddrinfo"; }
  std::string message(int error) const override { return ::gai_strerror(error); }
};

const std::error_category& resolver_category() noexcept {
  static const resolver_errors category;
  return category;
}

struct host_port {
  std::string_view host;
  std::uint16_t port;
};

host_port split_host_and_port(std::string_view text) {
  const auto colon = text.rfind(':');
  const auto host = text.substr(0, colon);
  std::uint16_t port = 0;
  const bool bare_v6 = host.find(':') != std::string_view::npos && host.front() != '[';
  if (colon != std::string_view::npos && !host.empty() && !bare_v6) {
    const auto digits = text.substr(colon + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error == std::errc{} && end == digits.data() + digits.size() && port != 0) return {host, port};
  }
  throw std::invalid_argument("'" + std::string(text) +
                              "' is not HOST:PORT, for example 127.0.0.1:4000 or [::1]:4000");
}

// A small message is not held back (Nagle).
void set_no_delay(int fd) noexcept {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

}  // namespace

unique_fd& unique_fd::operator=(unique_fd&& other) noexcept {
  if (this != &other) {
    reset();
    fd_ = other.release();
  }
  return *this;
}

void unique_fd::reset() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

endpoint endpoint::local_of(int fd) {
  endpoint local;
  socklen_t size = capacity();
  if (::getsockname(fd, local.address(), &size) != 0) {
    throw std::system_error(errno, std::system_category(), "getsockname");
  }
  return local;
}

std::uint16_t endpoint::port() const noexcept {
  return family() == AF_INET6 ? ntohs(reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_port)
                              : ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
}

void endpoint::set_port(std::uint16_t port) noexcept {
  if (family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(&storage_)->sin6_port = htons(port);
  } else {
    reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
  }
}

socklen_t endpoint::size() const noexcept {
  return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

std::string endpoint::to_string() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (family() == AF_INET6) {
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(&storage_)->sin6_addr, text, sizeof text);
    return std::string("[").append(text).append("]:").append(std::to_string(port()));
  }
  ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(&storage_)->sin_addr, text, sizeof text);
  return std::string(text) + ":" + std::to_string(port());
}

bool operator==(const endpoint& a, const endpoint& b) noexcept {
  if (a.family() != b.family() || a.port() != b.port()) return false;
  if (a.family() == AF_INET6) {
    const auto& left = reinterpret_cast<const sockaddr_in6&>(a.storage_);
    const auto& right = reinterpret_cast<const sockaddr_in6&>(b.storage_);
    return std::memcmp(&left.sin6_addr, &right.sin6_addr, sizeof left.sin6_addr) == 0 &&
           left.sin6_scope_id == right.sin6_scope_id;
  }
  return reinterpret_cast<const sockaddr_in&>(a.storage_).sin_addr.s_addr ==
         reinterpret_cast<const sockaddr_in&>(b.storage_).sin_addr.s_addr;
}

std::vector<endpoint> resolve_all(std::string_view host, std::uint16_t port) {
  std::string name(host);
  if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);

  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* answer = nullptr;
  int error = ::getaddrinfo(name.c_str(), nullptr, &hints, &answer);
  if (error == EAI_NONAME) {
    const stop_signals_allowed meanwhile;  // a name server that does not answer holds it for 10 s
    hints.ai_flags = 0;
    error = ::getaddrinfo(name.c_str(), nullptr, &hints, &answer);
  }
  if (error != 0) {
    const bool system = error == EAI_SYSTEM;
    throw std::system_error(system ? errno : error, system ? std::system_category() : resolver_category(),
                            "cannot find an address of the host '" + name + "'");
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(answer, &::freeaddrinfo);
  std::vector<endpoint> addresses;
  std::ptrdiff_t of_ipv4 = 0;  // they come first
  for (const addrinfo* entry = answer; entry != nullptr; entry = entry->ai_next) {
    endpoint address;
    std::memcpy(address.address(), entry->ai_addr, entry->ai_addrlen);
    address.set_port(port);
    if (std::ranges::find(addresses, address) != addresses.end()) continue;
    addresses.insert(address.family() == AF_INET ? addresses.begin() + of_ipv4++ : addresses.end(), address);
  }
  return addresses;
}

std::vector<endpoint> resolve_all(std::string_view host_and_port) {
  const auto [host, port] = split_host_and_port(host_and_port);
  return resolve_all(host, port);
}

endpoint resolve(std::string_view host, std::uint16_t port) { return resolve_all(host, port).front(); }

endpoint resolve(std::string_view host_and_port) { return resolve_all(host_and_port).front(); }

unique_fd listen_on(const endpoint& where, int backlog, reuse_port reuse) try {
  unique_fd fd(::socket(where.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) throw std::system_error(errno, std::system_category(), "socket");
  set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  set_no_delay(fd.get());
  if (where.family() == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
  if (reuse == reuse_port::yes) allow_port_sharing(fd.get());
  if (::bind(fd.get(), where.address(), where.size()) != 0) {
    throw std::system_error(errno, std::system_category(), "bind");
  }
  if (::listen(fd.get(), backlog) != 0) throw std::system_error(errno, std::system_category(), "listen");
  return fd;
} catch (const std::system_error& error) {
  throw std::system_error(error.code(), "cannot listen on " + where.to_string());
}

void allow_port_sharing(int fd) { set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT"); }

unique_fd start_connect(const endpoint& target, const endpoint* source) noexcept {
  unique_fd fd(::socket(target.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fd;
  set_no_delay(fd.get());
  if (source != nullptr) {
    const int on = 1;
    if (::setsockopt(fd.get(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) != 0 ||
        ::bind(fd.get(), source->address(), source->size()) != 0) {
      return unique_fd();
    }
  }
  if (::connect(fd.get(), target.address(), target.size()) != 0 && errno != EINPROGRESS) return unique_fd();
  return fd;
}

connect_attempt connect_within(const endpoint& target, std::chrono::nanoseconds timeout) noexcept {
  unique_fd fd = start_connect(target, nullptr);
  if (!fd) return {.fd = {}, .error = errno};
  pollfd connected{.fd = fd.get(), .events = POLLOUT, .revents = 0};
  const auto limit = to_timespec(timeout);
  const bool decided = ::ppoll(&connected, 1, &limit, nullptr) == 1;
  const int error = decided ? take_socket_error(fd.get()) : ETIMEDOUT;
  if (error != 0) return {.fd = {}, .error = error};
  return {.fd = std::move(fd), .error = 0};
}

std::chrono::microseconds smoothed_round_trip(int fd) noexcept {
  tcp_info info{};
  socklen_t size = sizeof info;
  const bool known = ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
  return std::chrono::microseconds(known ? info.tcpi_rtt : 0);
}

int take_socket_error(int fd) noexcept {
  int error = 0;
  socklen_t size = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void set_reset_on_close(int fd) noexcept {
  const linger at_once{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void set_blocking(int fd, bool blocking) {
  const int flags = ::fcntl(fd, F_GETFL);
  const int wanted = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
  if (flags < 0 || ::fcntl(fd, F_SETFL, wanted) != 0) {
    throw std::system_error(errno, std::system_category(), "fcntl O_NONBLOCK");
  }
}

}  // namespace echobench
