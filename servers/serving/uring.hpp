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

namespace echobench {

class uring {
public:
  using clock = std::chrono::steady_clock;

  // at_once: done when it has been submitted; there is a completion only if not all was sent, with what was,
  // or with -EAGAIN when the system's buffer is full. when_it_can: completes when something has been sent.
  enum class send_mode : std::uint8_t { at_once, when_it_can };

  // Why there is none here; empty: it can be used. What it needs is in Linux 6.1.
  static std::string_view unavailable_reason();

  // On any thread; what follows on the one that calls enable(). Throws std::system_error.
  uring();
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;
  ~uring();
  void enable();

  // An entry to be prepared; its user data is set.
  io_uring_sqe& next(std::uint64_t user_data);
  void send(int socket, std::span<const std::byte> bytes, send_mode how, std::uint64_t user_data);

  // The entry, which receives, is given one of the ring's buffers for each time that it completes.
  void select_buffer(io_uring_sqe& entry) const noexcept {
    entry.flags |= IOSQE_BUFFER_SELECT;
    entry.buf_group = buffer_group;
  }
  std::span<const std::byte> buffer_of(const io_uring_cqe& done) const noexcept {
    return {buffers_.get() + index_of(done) * buffer_size, static_cast<std::size_t>(done.res)};
  }
  void give_back_buffer(const io_uring_cqe& done) noexcept {
    const unsigned index = index_of(done);
    ::io_uring_buf_ring_add(provided_.get(), buffers_.get() + index * buffer_size, buffer_size,
                            static_cast<unsigned short>(index), mask, returned_++);
  }

  // Enters the kernel once: submits, and waits until something has completed beside what completes at once,
  // or until the time has come. time_point::max(): no such time.
  void submit_and_wait(clock::time_point until);
  void submit();

  // Calls seen(cqe) for each completion that is there, in order, and returns how many; done_with() forgets so
  // many and gives their buffers back.
  template <class Seen>
  unsigned for_each(Seen seen) {
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* done = nullptr;
    io_uring_for_each_cqe(&ring_, head, done) {
      seen(*done);
      ++count;
    }
    return count;
  }
  void done_with(unsigned count) noexcept {
    if (returned_ > 0) ::io_uring_buf_ring_advance(provided_.get(), std::exchange(returned_, 0));
    ::io_uring_cq_advance(&ring_, count);
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

  io_uring ring_{};
  std::unique_ptr<io_uring_buf_ring, release> provided_;
  std::unique_ptr<std::byte, release> buffers_;
  int returned_ = 0;  // buffers that the kernel has not been told of
};

}  // namespace echobench
