#include "servers/serving/wrapped_liburing.hpp"

#include <liburing.h>

#include <cerrno>

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
extern "C" {
int __real_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params);
int __real_io_uring_submit(io_uring* ring);
int __real_io_uring_submit_and_get_events(io_uring* ring);
int __real_io_uring_submit_and_wait(io_uring* ring, unsigned wait_for);
int __real_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** first, unsigned wait_for,
                                            __kernel_timespec* timeout, sigset_t* mask);
}

namespace echobench::testing {
namespace {

void count_completions(wrapped_liburing& counts, const io_uring& ring) {
  const unsigned end = io_uring_smp_load_acquire(ring.cq.ktail);
  const unsigned capacity = *ring.cq.kring_entries;
  unsigned& i = counts.end_of_completions;
  if (end - i > capacity) i = *ring.cq.khead;  // it was another ring's
  for (; i != end; ++i) {
    ++counts.completions;
    if (ring.cq.cqes[i & (capacity - 1)].res == -ENOBUFS) ++counts.without_a_buffer;
  }
}

// all: what was called. Where it submits less than all, it does not wait, and neither does the kernel.
template <class Submit>
int submit(io_uring* ring, Submit all) {
  wrapped_liburing* const wrapped = wrapped_liburing::present;
  if (wrapped == nullptr) return all();
  ++wrapped->calls;
  const unsigned entries = ::io_uring_sq_ready(ring);
  const unsigned some = entries > 0 && wrapped->submits ? wrapped->submits(entries) : entries;
  int result = -EAGAIN;
  if (some == entries) {
    result = all();
  } else if (some > 0) {
    ring->sq.sqe_tail -= entries - some;
    result = __real_io_uring_submit(ring);
    ring->sq.sqe_tail += entries - some;
  }
  if (::io_uring_sq_ready(ring) > 0) ++wrapped->incomplete;
  count_completions(*wrapped, *ring);
  return result;
}

}  // namespace
}  // namespace echobench::testing

extern "C" {
int __wrap_io_uring_queue_init_params(unsigned entries, io_uring* ring, io_uring_params* params) {
  const auto* const wrapped = echobench::testing::wrapped_liburing::present;
  if (wrapped != nullptr && wrapped->error_of_setting_up != 0) return -wrapped->error_of_setting_up;
  return __real_io_uring_queue_init_params(entries, ring, params);
}

int __wrap_io_uring_submit(io_uring* ring) {
  return echobench::testing::submit(ring, [&] { return __real_io_uring_submit(ring); });
}
int __wrap_io_uring_submit_and_get_events(io_uring* ring) {
  return echobench::testing::submit(ring, [&] { return __real_io_uring_submit_and_get_events(ring); });
}
int __wrap_io_uring_submit_and_wait(io_uring* ring, unsigned wait_for) {
  return echobench::testing::submit(ring, [&] { return __real_io_uring_submit_and_wait(ring, wait_for); });
}
int __wrap_io_uring_submit_and_wait_timeout(io_uring* ring, io_uring_cqe** first, unsigned wait_for,
                                            __kernel_timespec* timeout, sigset_t* mask) {
  return echobench::testing::submit(
      ring, [&] { return __real_io_uring_submit_and_wait_timeout(ring, first, wait_for, timeout, mask); });
}
}
// NOLINTEND(bugprone-reserved-identifier)
