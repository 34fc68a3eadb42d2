// TCP sockets for both ends: an owning descriptor, numeric addresses, listen, connect, options.
//
// Setting up throws std::system_error whose text says what was attempted, on what, and why. Nothing here
// blocks except resolve() and resolve_all() with a host name, and connect_within().
#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace echobench {

// Owns a descriptor; closes it. Empty is -1.
class unique_fd {
public:
  unique_fd() noexcept = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept;
  ~unique_fd() { reset(); }

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int release() noexcept { return std::exchange(fd_, -1); }
  void reset() noexcept;

private:
  int fd_ = -1;
};

// An IPv4 or IPv6 address with its port.
class endpoint {
public:
  endpoint() noexcept = default;

  // What a socket is bound to.
  static endpoint local_of(int fd);

  std::uint16_t port() const noexcept;
  void set_port(std::uint16_t port) noexcept;
  int family() const noexcept { return storage_.ss_family; }
  const sockaddr* address() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  sockaddr* address() noexcept { return reinterpret_cast<sockaddr*>(&storage_); }
  socklen_t size() const noexcept;
  static constexpr socklen_t capacity() noexcept { return sizeof(sockaddr_storage); }

  // `127.0.0.1:80`, `[::1]:80`
  std::string to_string() const;

  // The same address and port.
  friend bool operator==(const endpoint& a, const endpoint& b) noexcept;

private:
  sockaddr_storage storage_{};
};

// The addresses of a host, each once, never none: the one that `host` is, or those of a name, in the order of
// the resolver but IPv4 first, because servers listen there by default. `host` may carry the brackets of
// IPv6. Throws std::system_error that names the host when it has none. While a name is looked up, which may
// take 10 s or longer, SIGHUP, SIGINT and SIGTERM are not blocked: they end the program.
std::vector<endpoint> resolve_all(std::string_view host, std::uint16_t port);

// `HOST:PORT`, `[V6]:PORT`; throws std::invalid_argument when it is not of that form.
std::vector<endpoint> resolve_all(std::string_view host_and_port);

// The first of them.
endpoint resolve(std::string_view host, std::uint16_t port);
endpoint resolve(std::string_view host_and_port);

enum class reuse_port : bool { no, yes };

// A bound and listening socket: non-blocking, close-on-exec, SO_REUSEADDR, for IPv6 V6ONLY; TCP_NODELAY,
// which accepted connections inherit (tcp_create_openreq_child() in the kernel copies the socket).
//
// reuse_port::yes lets further sockets bind to the same address later; the caller's own first socket should
// be bound with `no` and opened with allow_port_sharing(), so that a port that some other process uses is
// refused although that process allows sharing.
unique_fd listen_on(const endpoint& where, int backlog, reuse_port reuse);
void allow_port_sharing(int fd);

// A TCP socket, non-blocking, close-on-exec and TCP_NODELAY, whose connect has been started. `source` (may be
// null) is bound first with IP_BIND_ADDRESS_NO_PORT, so that each source address has a port range of its own
// (ip(7)). Returns an empty descriptor with errno set when it fails at once.
unique_fd start_connect(const endpoint& target, const endpoint* source) noexcept;

// A connection that is open, or why it is not (errno).
struct connect_attempt {
  unique_fd fd;
  int error = 0;
};
connect_attempt connect_within(const endpoint& target, std::chrono::nanoseconds timeout) noexcept;

// What TCP thinks its round trip takes (TCP_INFO tcpi_rtt); before any data: the handshake. 0: not known.
std::chrono::microseconds smoothed_round_trip(int fd) noexcept;

// The pending error of a socket, cleared by reading it (SO_ERROR); 0 for none.
int take_socket_error(int fd) noexcept;

void set_reset_on_close(int fd) noexcept;  // SO_LINGER 0: close sends a reset, leaving no TIME_WAIT
void set_blocking(int fd, bool blocking);

}  // namespace echobench
