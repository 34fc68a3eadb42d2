// An io_uring for one thread, and the buffers into which it receives.
#pragma once

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace echobench {

// Buffers of one size, numbered from `first`, which a ring has been told of: the kernel takes one when there
// is something to put into it.
class provided_buffers {
public:
  // count: a power of two. Throws std::system_error, std::bad_alloc.
  provided_buffers(io_uring& ring, std::uint16_t group, unsigned first, unsigned count, unsigned size);

  std::byte* at(unsigned number) noexcept { return memory_.get() + (number - first_) * size_; }
  void give_back(unsigned number) noexcept {
    ::io_uring_buf_ring_add(entries_.get(), at(number), size_, static_cast<unsigned short>(number),
                            static_cast<int>(count_ - 1), returned_++);
  }
  void tell_returned() noexcept {
    if (returned_ > 0) ::io_uring_buf_ring_advance(entries_.get(), std::exchange(returned_, 0));
  }

private:
  struct release {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  unsigned first_;
  unsigned count_;
  unsigned size_;
  std::unique_ptr<io_uring_buf_ring, release> entries_;
  std::unique_ptr<std::byte, release> memory_;
  int returned_ = 0;  // which the kernel has not been told of
};

class uring {
public:
  using clock = std::chrono::steady_clock;

  // A batch uses one small buffer for each connection at least. They are used in turn, so that all are
  // touched: together they fill one huge page. The large ones take no memory before a connection streams.
  static constexpr unsigned small_size = 1024;  // bytes
  static constexpr unsigned small_count = 2048;
  static constexpr unsigned large_size = 32 * 1024;
  static constexpr unsigned large_count = 64;

  // Why there is none here; empty: it can be used. What it needs is in Linux 6.1.
  static std::string_view unavailable_reason();

  // On any thread; what follows on the one that calls enable(). Throws std::system_error.
  uring();
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;
  ~uring();
  void enable();

  // An entry to be prepared; its user data, which is below 2^63, is set.
  io_uring_sqe& next(std::uint64_t user_data);

  // recv(2) again and again, each time into one of the ring's small buffers.
  void receive_on(int socket, std::uint64_t user_data);
  // recv(2) once, into one of its large buffers.
  void receive_once(int socket, std::uint64_t user_data);
  // Silently: never waits for the peer, and wakes nobody when all was sent. What was sent, all of it or less,
  // or -EAGAIN when the system's buffer is full, is told by the next reap().
  void send(int socket, std::span<const std::byte> bytes, bool silently, std::uint64_t user_data);

  // What a receive has brought; valid until reap() returns.
  std::span<const std::byte> buffer_of(const io_uring_cqe& done) noexcept {
    return {group_of(done).at(index_of(done)), static_cast<std::size_t>(done.res)};
  }

  // Enters the kernel once: submits, and waits until something has completed beside what completes at once,
  // or until the time has come. time_point::max(): no such time.
  void submit_and_wait(clock::time_point until);
  void submit();

  // Calls completed(cqe) for each completion that is there, those of silent sends first.
  template <class Completed>
  void reap(Completed completed) {
    tell_silent(completed);
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_cqe* done = nullptr;
    io_uring_for_each_cqe(&ring_, head, done) {
      ++seen;
      if ((done->user_data & silent) != 0) continue;
      completed(*done);
      if ((done->flags & IORING_CQE_F_BUFFER) != 0) group_of(*done).give_back(index_of(*done));
    }
    small_.tell_returned();
    large_.tell_returned();
    ::io_uring_cq_advance(&ring_, seen);
  }

private:
  static unsigned index_of(const io_uring_cqe& done) noexcept {
    return done.flags >> IORING_CQE_BUFFER_SHIFT;
  }
  provided_buffers& group_of(const io_uring_cqe& done) noexcept {
    return index_of(done) < small_count ? small_ : large_;
  }

  static constexpr std::uint64_t silent = std::uint64_t{1}
                                          << 63;  // in user data, above an index into silent_

  template <class Completed>
  void tell_silent(Completed completed) {
    if (silent_.empty()) return;
    unsigned head = 0;
    io_uring_cqe* done = nullptr;
    io_uring_for_each_cqe(&ring_, head, done) {
      if ((done->user_data & silent) != 0) silent_[done->user_data & ~silent].res = done->res;
    }
    silent_.swap(told_);
    for (const io_uring_cqe& sent : told_) completed(sent);
    told_.clear();
  }

  io_uring ring_{};
  provided_buffers small_;
  provided_buffers large_;
  std::vector<io_uring_cqe> silent_;  // submitted, or about to be: as if all had been sent
  std::vector<io_uring_cqe> told_;
};

}  // namespace echobench
