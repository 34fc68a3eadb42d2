// Asio 1.81 on liburing 2.3, corrected in two places: there Asio calls these functions. Included before Asio.
//
// CPU time of asio-callback-uring relative to epoll, raw, 100 connections, 40,000 requests a second: 1.31 as
// Asio is, 1.23 without the interrupts; at saturation 0.93. What remains: Asio submits in one system call and
// waits in another, and each receive, of one message, arms a poll first.
#pragma once

// Asio's macros choose its backend when it is compiled: everything that uses it is compiled for one of them.
#ifndef ECHOBENCH_ASIO_ON_IO_URING

namespace echobench {
inline constexpr bool asio_on_io_uring = false;
}

#else

#include <liburing.h>

namespace echobench {
inline constexpr bool asio_on_io_uring = true;
}

namespace echobench::asio_patched {

// A cancellation is a separate entry with a separate completion. Asio does not set its user data: since
// liburing 2.2 (axboe/liburing#848) the entry keeps those of its last use, so that the completion is taken
// for that of another operation, which may have ended long ago. Connections hang, or lose a buffer that the
// kernel still uses, once the 16,384 entries have been in use.
inline void prep_cancel(io_uring_sqe* entry, void* user_data, int flags) {
  ::io_uring_prep_cancel(entry, user_data, flags);
  ::io_uring_sqe_set_data(entry, nullptr);
}

// Without a flag, as Asio calls it, each completion interrupts the thread that submitted (io_uring_setup(2),
// IORING_SETUP_COOP_TASKRUN), which would enter the kernel soon enough by itself.
inline int queue_init(unsigned entries, io_uring* ring, unsigned flags) {
  return ::io_uring_queue_init(entries, ring, flags | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

}  // namespace echobench::asio_patched

#define io_uring_prep_cancel echobench::asio_patched::prep_cancel
#define io_uring_queue_init echobench::asio_patched::queue_init

#endif
