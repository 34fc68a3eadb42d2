// An io_uring for one thread, and the buffers into which it receives.
#pragma once

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace echobench {

// Buffers of one size for a ring: the kernel takes one when there is something to put into it.
class provided_buffers {
public:
  // most: a power of two; the kernel has none of them yet. Throws std::system_error, std::bad_alloc.
  provided_buffers(io_uring& ring, std::uint16_t group, unsigned most, unsigned size);

  // From now on the kernel has at least so many, or the most. It uses them in turn, so that all are touched.
  void lend(unsigned count) noexcept;
  unsigned lent() const noexcept { return lent_; }

  std::byte* at(unsigned number) noexcept { return memory_.get() + number * size_; }
  void give_back(unsigned number) noexcept {
    ::io_uring_buf_ring_add(entries_.get(), at(number), size_, static_cast<unsigned short>(number),
                            static_cast<int>(most_ - 1), returned_++);
  }
  void publish_returned() noexcept {
    if (returned_ > 0) ::io_uring_buf_ring_advance(entries_.get(), std::exchange(returned_, 0));
  }

private:
  struct release {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  unsigned most_;
  unsigned size_;
  std::unique_ptr<io_uring_buf_ring, release> entries_;
  std::unique_ptr<std::byte, release> memory_;
  unsigned lent_ = 0;
  int returned_ = 0;  // that the kernel does not see yet
};

class uring {
public:
  using clock = std::chrono::steady_clock;

  // The kernel has as many buffers as what is in flight needs: twice as many each time that it lacks one.
  static constexpr unsigned buffer_size = 1024;  // bytes
  static constexpr unsigned first_buffers = 64;
  static constexpr unsigned most_buffers = 2048;

  // Why there is none here; empty if it can be used. It needs Linux 6.1.
  static std::string_view unavailable_reason();

  // On any thread; all other functions on the one that calls enable(). Throws std::system_error.
  uring();
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;
  ~uring();
  void enable();

  // An entry, to be prepared before the next call of any function of this class. Its user data, below 2^63,
  // are set. The kernel consumes entries in their order; there may be more of them than the ring holds.
  io_uring_sqe& next(std::uint64_t user_data);

  // recv(2) again and again, each time into one of the ring's buffers; ends with ENOBUFS when they are all in
  // use.
  void receive_on(int socket, std::uint64_t user_data);
  // recv(2) of what there is, which may be -EAGAIN: completes when it has been submitted.
  void receive_now(int socket, std::span<std::byte> space, std::uint64_t user_data);
  // Completes when there is something to receive.
  void wait_readable(int socket, std::uint64_t user_data);
  // The bytes must stay as they are until reap() reports the send. Silently, if there is memory for that:
  // never waits for the peer, and wakes nobody when all was sent. How much was sent, or -EAGAIN when the
  // system's buffer is full, is reported by the first reap() after the kernel has consumed the entry.
  void send(int socket, std::span<const std::byte> bytes, bool silently, std::uint64_t user_data);

  // What receive_on() has brought; valid until reap() returns.
  std::span<const std::byte> buffer_of(const io_uring_cqe& done) noexcept {
    return {buffers_.at(index_of(done)), static_cast<std::size_t>(done.res)};
  }

  // Submits what the kernel takes: it may lack memory, or stop at an entry that is wrong. The rest is
  // submitted by the next call.
  void submit();
  // Submits, and waits until something has completed, or until the time has come (time_point::max(): no such
  // time). It does not wait when something has completed already or when not all was submitted.
  void submit_and_wait(clock::time_point until);

  // Calls completed(cqe) for each completion that is there, those of silent sends first; not for those that
  // are caused by what it submits, which would keep the loop from everything else.
  template <class Completed>
  void reap(Completed completed) {
    const unsigned first = *ring_.cq.khead;
    const unsigned end = io_uring_smp_load_acquire(ring_.cq.ktail);
    report_silent(completed);
    bool lacking = false;
    for (unsigned at = first; at != end; ++at) {
      const io_uring_cqe& done = ring_.cq.cqes[at & ring_.cq.ring_mask];
      if ((done.user_data & silent) != 0) {
        note_failure(done);  // of a send that was submitted since
        continue;
      }
      completed(done);
      if ((done.flags & IORING_CQE_F_BUFFER) != 0) buffers_.give_back(index_of(done));
      lacking = lacking || done.res == -ENOBUFS;
    }
    if (lacking) buffers_.lend(2 * buffers_.lent());
    buffers_.publish_returned();
    ::io_uring_cq_advance(&ring_, end - first);
  }

private:
  static unsigned index_of(const io_uring_cqe& done) noexcept {
    return done.flags >> IORING_CQE_BUFFER_SHIFT;
  }

  // In user data, above the number of a silent send.
  static constexpr std::uint64_t silent = std::uint64_t{1} << 63;

  // A send that completes only if it fails.
  struct silent_send {
    std::uint64_t entry;  // its number, in the order in which they were prepared
    std::uint64_t user_data;
    int result;  // as if all had been sent, unless it is known to have failed
  };

  // The entries before this one have been consumed by the kernel.
  std::uint64_t consumed() const noexcept {
    return prepared_ - waiting_.size() - ::io_uring_sq_ready(&ring_);
  }
  void move_into_ring() noexcept;
  bool has_room_for_silent() noexcept;

  void note_failure(const io_uring_cqe& done) noexcept {
    const std::uint64_t number = done.user_data & ~silent;
    if (number >= reported_) silent_[static_cast<std::size_t>(number - reported_)].result = done.res;
  }

  // A silent send has been carried out when the kernel has consumed its entry, and if it failed its
  // completion is in the queue, unless that has overflowed.
  template <class Completed>
  void report_silent(Completed completed) {
    if (silent_.empty() || (IO_URING_READ_ONCE(*ring_.sq.kflags) & IORING_SQ_CQ_OVERFLOW) != 0) return;
    unsigned head = 0;
    io_uring_cqe* done = nullptr;
    io_uring_for_each_cqe(&ring_, head, done) {
      if ((done->user_data & silent) != 0) note_failure(*done);
    }
    const auto end = std::ranges::lower_bound(silent_, consumed(), {}, &silent_send::entry);
    sent_.assign(silent_.begin(), end);
    silent_.erase(silent_.begin(), end);
    reported_ += sent_.size();
    for (const silent_send& send : sent_) {
      io_uring_cqe done_silently{};
      done_silently.user_data = send.user_data;
      done_silently.res = send.result;
      completed(done_silently);
    }
  }

  io_uring ring_{};
  provided_buffers buffers_;
  std::uint64_t prepared_ = 0;        // entries
  std::deque<io_uring_sqe> waiting_;  // the last of them, until the ring has room
  std::vector<silent_send> silent_;   // those that have not been reported
  std::uint64_t reported_ = 0;        // silent sends: the number of the first in silent_
  std::vector<silent_send> sent_;     // those that are being reported; has room for all in silent_
};

}  // namespace echobench
