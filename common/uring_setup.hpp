// Setting up an io_uring, and what to change where the system refuses it.
#pragma once

#include <liburing.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

namespace echobench {

// Of a call by which a ring is set up. Empty: there is nothing to advise.
inline std::string ring_advice(int error) {
  switch (error) {
    case EPERM: return " (kernel.io_uring_disabled, or a container's seccomp profile)";
    case EINVAL: return " (it needs Linux 6.1)";
    case ENOMEM: return " (ulimit -l)";
    default: return "";
  }
}

// result: of liburing. Throws std::system_error, unless it is a success.
inline void check_ring(int result, const std::string& what) {
  if (result < 0) throw std::system_error(-result, std::system_category(), what + ring_advice(-result));
}

// Why such a ring cannot be set up here; empty if it can.
inline std::string why_no_ring(unsigned entries, io_uring_params params) {
  io_uring ring{};
  const int result = ::io_uring_queue_init_params(entries, &ring, &params);
  if (result < 0)
    return std::string("io_uring cannot be set up: ") + std::strerror(-result) + ring_advice(-result);
  ::io_uring_queue_exit(&ring);
  return "";
}

}  // namespace echobench
