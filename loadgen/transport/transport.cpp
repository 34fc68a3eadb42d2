#include "loadgen/transport/transport.hpp"

#include "loadgen/transport/epoll_transport.hpp"
#ifdef ECHOBENCH_HAS_LIBURING
#include "loadgen/transport/io_uring_transport.hpp"
#endif

#include <poll.h>

#include <stdexcept>

namespace echobench {

#ifndef ECHOBENCH_HAS_LIBURING
std::string io_uring_unavailable_reason() { return "built without liburing"; }
#endif

bool transport::is_readable(int fd, bool connecting) noexcept {
  pollfd socket{.fd = fd, .events = static_cast<short>(connecting ? POLLOUT : POLLIN), .revents = 0};
  return ::poll(&socket, 1, 0) > 0;
}

std::unique_ptr<transport> make_transport(engine which, const transport_settings& settings,
                                          transport_events& events) {
  if (which == engine::epoll) return std::make_unique<epoll_transport>(settings, events);
#ifdef ECHOBENCH_HAS_LIBURING
  return std::make_unique<io_uring_transport>(settings, events);
#else
  throw std::runtime_error(io_uring_unavailable_reason());
#endif
}

}  // namespace echobench
