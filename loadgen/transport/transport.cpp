#include "loadgen/transport/transport.hpp"

#include "loadgen/transport/epoll_transport.hpp"
#ifdef ECHOBENCH_HAS_LIBURING
#include "loadgen/transport/io_uring_transport.hpp"
#endif

#include <stdexcept>

namespace echobench {

#ifndef ECHOBENCH_HAS_LIBURING
std::string io_uring_unavailable_reason() { return "built without liburing"; }
#endif

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
