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

class uring {
public:
  using clock = std::chrono::steady_clock;

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

  // recv(2) again and again, each time into one of the ring's buffers.
  void receive(int socket, std::uint64_t user_data);
  // Silently: never waits for the peer, and wakes nobody when all was sent. What was sent, all of it or less,
  // or -EAGAIN when the system's buffer is full, is told by the next reap().
  void send(int socket, std::span<const std::byte> bytes, bool silently, std::uint64_t user_data);

  // What a receive has brought; valid until reap() returns.
  std::span<const std::byte> buffer_of(const io_uring_cqe& done) const noexcept {
    return {buffers_.get() + index_of(done) * buffer_size, static_cast<std::size_t>(done.res)};
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
      if ((done->flags & IORING_CQE_F_BUFFER) != 0) give_back(index_of(*done));
    }
    if (returned_ > 0) ::io_uring_buf_ring_advance(provided_.get(), std::exchange(returned_, 0));
    ::io_uring_cq_advance(&ring_, seen);
  }

private:
  static constexpr unsigned entries = 1024;
  static constexpr unsigned completions = 16 * 1024;
  static constexpr unsigned buffer_group = 0;
  // A batch uses one buffer for each connection at least. They are used in turn, so that all are touched:
  // together they fill one huge page.
  static constexpr unsigned buffer_count = 2048;  // a power of two
  static constexpr unsigned buffer_size = 1024;   // bytes
  static constexpr int mask = buffer_count - 1;
  struct release {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };
  static unsigned index_of(const io_uring_cqe& done) noexcept {
    return done.flags >> IORING_CQE_BUFFER_SHIFT;
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
  void give_back(unsigned index) noexcept {
    ::io_uring_buf_ring_add(provided_.get(), buffers_.get() + index * buffer_size, buffer_size,
                            static_cast<unsigned short>(index), mask, returned_++);
  }

  io_uring ring_{};
  std::unique_ptr<io_uring_buf_ring, release> provided_;
  std::unique_ptr<std::byte, release> buffers_;
  std::vector<io_uring_cqe> silent_;  // submitted, or about to be: as if all had been sent
  std::vector<io_uring_cqe> told_;
  int returned_ = 0;  // buffers that the kernel has not been told of
};

}  // namespace echobench
