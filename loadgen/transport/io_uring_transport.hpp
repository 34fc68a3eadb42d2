// Completion: one io_uring. The kernel receives on its own (multishot) into buffers that the ring provides,
// by registered descriptors; sends are gathered, and the kernel is entered once for all of them.
//
// Needs Linux 6.1. Whether there is anything to do is read from memory that the kernel shares (TASKRUN_FLAG):
// a poll in vain makes no system call.
#pragma once

#include "loadgen/transport/transport.hpp"

#include <liburing.h>

#include <cstdlib>
#include <vector>

namespace echobench {

class io_uring_transport final : public transport {
public:
  io_uring_transport(const transport_settings& settings, transport_events& events);
  ~io_uring_transport() override;

  void enter() override;
  bool connect(std::size_t slot, const endpoint& to, const endpoint* source, reading how) override;
  void flush(std::size_t slot) override;
  void receive(std::size_t slot, std::size_t most) override;
  std::chrono::microseconds handshake(std::size_t slot) const noexcept override {
    return smoothed_round_trip(slots_[slot].fd.get());
  }
  void close(std::size_t slot) noexcept override;
  void abort(std::size_t slot) noexcept override;
  bool poll() override;
  std::chrono::nanoseconds wait(std::chrono::nanoseconds longest) override;

private:
  // What a completion is of; in the upper bits of its user data.
  enum class of : std::uint8_t { stop, connect, receive, send, writable, cancel };

  struct slot_state {
    unique_fd fd;
    std::uint32_t generation = 0;  // tells a completion of this socket from one of its predecessor
    int send_error = 0;            // reported once the bytes that came before it have been read
    reading how = reading::as_it_comes;
    bool connecting = false;
    bool receiving = false;             // the kernel is asked to
    bool sending = false;               // likewise
    bool queued = false;                // in to_send_, whatever becomes of the socket meanwhile
    bool waits = false;                 // for the socket to be writable
    std::uint32_t receive_most = 0;     // of a single receive
    std::span<const std::byte> unsent;  // taken; in `kept` or where the owner keeps it
    std::vector<std::byte> kept;
  };
  // A send that the kernel was asked for.
  struct send_entry {
    std::size_t slot = 0;
    std::uint32_t generation = 0;
    std::span<const std::byte> bytes;
  };

  static std::uint64_t tag(of what, std::uint64_t generation, std::uint64_t index) noexcept {
    return static_cast<std::uint64_t>(what) << 60 | (generation & 0x0fff'ffff) << 32 | index;
  }
  std::uint64_t tag_of(of what, std::size_t slot) const noexcept {
    return tag(what, slots_[slot].generation, slot);
  }
  bool is_of_now(std::uint64_t user_data) const noexcept;
  std::span<std::byte> scratch_of(std::size_t entry) noexcept {
    return std::span(scratch_).subspan(entry * send_size_, send_size_);
  }
  int descriptor(std::size_t slot) const noexcept {
    return registers_ ? static_cast<int>(slot) : slots_[slot].fd.get();
  }

  io_uring_sqe& next(std::uint64_t user_data);
  void ask_to_receive(std::size_t slot);
  void want_send(std::size_t slot);
  void prepare_sends();
  bool must_enter() const noexcept;
  void give_back(unsigned buffer) noexcept;
  std::size_t dispatch();
  void handle(std::uint64_t user_data, int result, std::uint32_t flags);
  void connected(std::size_t slot);
  void received(std::size_t slot, int result, std::uint32_t flags);
  void sent(std::size_t entry, int result);

  struct free_memory {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  transport_events& handler_;
  const std::size_t receive_size_;  // bytes of a buffer
  const unsigned receive_count_;    // a power of two
  const std::size_t send_size_;
  const bool registers_;  // connections are kept: it is worth it
  const int stop_fd_;
  io_uring ring_{};
  std::unique_ptr<io_uring_buf_ring, free_memory> provided_;
  std::unique_ptr<std::byte, free_memory> received_;
  std::vector<std::byte> scratch_;
  std::vector<send_entry> sends_;
  std::vector<std::size_t> free_sends_;
  std::vector<slot_state> slots_;
  std::vector<std::size_t> to_send_;
  std::vector<std::size_t> wanted_;  // to_send_ while it is worked through
};

}  // namespace echobench
