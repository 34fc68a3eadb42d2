// Asio 1.81 on liburing 2.3, mended in two places: what Asio calls there are these functions. Included before
// Asio.
//
// CPU time of asio-callback-uring by that of epoll, raw, 100 connections, 40,000 requests a second: 1.31 as
// Asio is, 1.23 without the interrupts, 1.18 when single replies are sent at once; at saturation 0.93. What
// is left: Asio submits in one system call and waits in another, and each receive, of one message, arms a
// poll first.
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

namespace echobench::asio_mended {

// A cancellation is an entry of its own, and has an own completion. Asio does not say whose: the entry keeps
// the user data of its last use, since liburing 2.2 (axboe/liburing#848), and another operation, which may
// have ended long ago, is told of it. Connections hang, or lose a buffer that the kernel still uses, once the
// 16,384 entries have been in use.
inline void prep_cancel(io_uring_sqe* entry, void* user_data, int flags) {
  ::io_uring_prep_cancel(entry, user_data, flags);
  ::io_uring_sqe_set_data(entry, nullptr);
}

// Asio sets no flag: then each completion interrupts the thread that submitted, wherever it is
// (io_uring_setup(2), IORING_SETUP_COOP_TASKRUN). It enters the kernel soon enough by itself.
inline int queue_init(unsigned entries, io_uring* ring, unsigned flags) {
  return ::io_uring_queue_init(entries, ring, flags | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

}  // namespace echobench::asio_mended

#define io_uring_prep_cancel echobench::asio_mended::prep_cancel
#define io_uring_queue_init echobench::asio_mended::queue_init

#endif
