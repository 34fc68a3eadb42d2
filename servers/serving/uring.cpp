#include "servers/serving/uring.hpp"

#include "common/timespec.hpp"
#include "common/uring_setup.hpp"
#include "servers/serving/turns.hpp"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace echobench {
namespace {

// One thread submits and reaps (SINGLE_ISSUER); the kernel completes operations only when that thread enters
// it (DEFER_TASKRUN), so that it is never interrupted; the ring begins disabled, because that thread starts
// later.
constexpr unsigned setup_flags =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;

io_uring_params parameters() {
  io_uring_params params{};
  params.flags = setup_flags;
  params.cq_entries = 16 * 1024;
  return params;
}

constexpr unsigned entries = 1024;
constexpr std::uint16_t buffer_group = 0;
constexpr std::chrono::milliseconds submit_pause{1};

io_uring started() {
  io_uring ring{};
  io_uring_params params = parameters();
  check_ring(::io_uring_queue_init_params(entries, &ring, &params), "io_uring_queue_init");
  return ring;
}

void* whole_pages(std::size_t size) {
  constexpr std::size_t page = 4096;
  void* const memory = std::aligned_alloc(page, (size + page - 1) / page * page);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// The kernel lacked memory, or room for completions; the entries are still in the ring.
bool can_be_retried(int result) noexcept { return result == -EAGAIN || result == -EBUSY; }

void check_entering(int result) {
  if (result >= 0 || can_be_retried(result) || result == -ETIME || result == -EINTR) return;
  throw std::system_error(-result, std::system_category(), "io_uring_enter");
}

}  // namespace

std::string_view uring::unavailable_reason() {
  static const std::string reason = why_no_ring(entries, parameters());
  return reason;
}

provided_buffers::provided_buffers(io_uring& ring, std::uint16_t group, unsigned most, unsigned size)
    : most_(most),
      size_(size),
      entries_(static_cast<io_uring_buf_ring*>(whole_pages(most * sizeof(io_uring_buf)))),
      memory_(static_cast<std::byte*>(whole_pages(std::size_t{most} * size))) {
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(entries_.get());
  registration.ring_entries = most;
  registration.bgid = group;
  check_ring(::io_uring_register_buf_ring(&ring, &registration, 0), "io_uring_register_buf_ring");
  ::io_uring_buf_ring_init(entries_.get());
}

void provided_buffers::lend(unsigned count) noexcept {
  while (lent_ < std::min(count, most_)) give_back(lent_++);
  publish_returned();
}

uring::uring() : ring_(started()), buffers_(ring_, buffer_group, most_buffers, buffer_size) {
  buffers_.lend(first_buffers);
}

uring::~uring() { ::io_uring_queue_exit(&ring_); }

// Not with io_uring_enable_rings, which liburing 2.3 declares and does not export.
void uring::enable() {
  const long result =
      ::syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  check_ring(result < 0 ? -errno : 0, "enabling an io_uring");
  ::io_uring_register_ring_fd(&ring_);  // saves a look-up in each call; it may fail
}

io_uring_sqe& uring::next(std::uint64_t user_data) {
  io_uring_sqe* entry = nullptr;
  if (waiting_.empty()) entry = ::io_uring_get_sqe(&ring_);
  if (entry == nullptr && waiting_.empty()) {
    submit();
    entry = ::io_uring_get_sqe(&ring_);
  }
  if (entry == nullptr) entry = &waiting_.emplace_back();
  ++prepared_;
  ::io_uring_sqe_set_data64(entry, user_data);
  return *entry;
}

void uring::move_into_ring() noexcept {
  while (!waiting_.empty()) {
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) return;
    *entry = waiting_.front();
    waiting_.pop_front();
  }
}

void uring::receive_on(int socket, std::uint64_t user_data) {
  io_uring_sqe& entry = next(user_data);
  ::io_uring_prep_recv_multishot(&entry, socket, nullptr, 0, 0);
  entry.flags |= IOSQE_BUFFER_SELECT;
  entry.buf_group = buffer_group;
}

void uring::receive_now(int socket, std::span<std::byte> space, std::uint64_t user_data) {
  ::io_uring_prep_recv(&next(user_data), socket, space.data(), space.size(), MSG_DONTWAIT);
}

void uring::wait_readable(int socket, std::uint64_t user_data) {
  ::io_uring_prep_poll_add(&next(user_data), socket, POLLIN);
}

bool uring::has_room_for_silent() noexcept try {
  if (silent_.size() == silent_.capacity()) {
    const std::size_t room = 2 * silent_.size() + 64;
    sent_.reserve(room);
    silent_.reserve(room);
  }
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

// With MSG_DONTWAIT a send is done when it has been submitted; with MSG_WAITALL a short send is a failure, so
// that IOSQE_CQE_SKIP_SUCCESS does not hide it (io_send() in the kernel's io_uring/net.c).
void uring::send(int socket, std::span<const std::byte> bytes, bool silently, std::uint64_t user_data) {
  silently = silently && has_room_for_silent();
  io_uring_sqe& entry = next(silently ? silent | (reported_ + silent_.size()) : user_data);
  const int flags = MSG_NOSIGNAL | (silently ? MSG_DONTWAIT | MSG_WAITALL : 0);
  ::io_uring_prep_send(&entry, socket, bytes.data(), bytes.size(), flags);
  if (!silently) return;
  entry.flags |= IOSQE_CQE_SKIP_SUCCESS;
  silent_.push_back(
      {.entry = prepared_ - 1, .user_data = user_data, .result = static_cast<int>(bytes.size())});
}

// While completions are handled, too, whose buffers are free by then.
void uring::submit() {
  buffers_.publish_returned();
  move_into_ring();
  check_entering(::io_uring_submit(&ring_));
}

void uring::submit_and_wait(clock::time_point until) {
  turns_of_this_thread.add();
  move_into_ring();
  int result = 0;
  if (::io_uring_cq_ready(&ring_) > 0 || !waiting_.empty()) {  // there is something to do
    result = ::io_uring_submit_and_get_events(&ring_);
  } else if (until == clock::time_point::max()) {
    result = ::io_uring_submit_and_wait(&ring_, 1);
  } else {
    auto timeout = to_timespec<__kernel_timespec>(until - clock::now());
    io_uring_cqe* first = nullptr;
    result = ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  }
  check_entering(result);
  // While memory is lacking and nothing has completed, trying again at once would only burn CPU time.
  if (can_be_retried(result) && ::io_uring_cq_ready(&ring_) == 0) std::this_thread::sleep_for(submit_pause);
}

}  // namespace echobench
