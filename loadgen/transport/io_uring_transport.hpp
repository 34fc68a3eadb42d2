// Completion: one io_uring. The kernel receives on its own (multishot) into buffers that the ring provides,
// by registered descriptors; sends are gathered, and the kernel is entered once for all of them.
//
// A send completes while it is submitted, and leaves a completion only where it was short or failed
// (MSG_DONTWAIT, MSG_WAITALL, IOSQE_CQE_SKIP_SUCCESS). What an entry of the submission queue points to is its
// own until the kernel has consumed that entry, which a submission need not do with all of them.
//
// Needs Linux 6.1. Whether there is anything to do is read from memory that the kernel shares (TASKRUN_FLAG):
// a poll in vain makes no system call.
#pragma once

#include "loadgen/transport/transport.hpp"

#include <liburing.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace echobench {

class io_uring_transport : public transport {
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
  bool has_news(std::size_t slot) const noexcept override {
    return is_readable(slots_[slot].fd.get(), slots_[slot].connecting);
  }
  void close(std::size_t slot) noexcept override;
  void abort(std::size_t slot) noexcept override;
  bool poll() override;
  std::chrono::nanoseconds wait(std::chrono::nanoseconds longest) override;

  // Completions so far that said that no buffer was left.
  std::uint64_t starved_receives() const noexcept { return starved_receives_; }

protected:
  // Enters the kernel: submits what was prepared and runs what has become ready. Returns what liburing does:
  // a negative errno where nothing was submitted. To be overridden by a test of what the kernel may do.
  virtual int submit();

  io_uring ring_{};

private:
  // What an entry, and so its completion, is of; in the upper bits of its user data.
  enum class of : std::uint8_t { stop, connect, receive, send, writable, cancel, nothing };

  struct slot_state {
    unique_fd fd;
    std::uint32_t generation = 0;  // distinguishes a completion of this socket from one of its predecessor
    int send_error = 0;            // reported once the bytes that came before it have been read
    reading how = reading::as_it_comes;
    bool connecting = false;
    bool receiving = false;           // the kernel is asked to
    bool sending = false;             // an entry for it waits to be consumed
    bool queued = false;              // in to_send_, whatever becomes of the socket meanwhile
    bool waits = false;               // for the socket to be writable
    std::uint32_t receive_most = 0;   // of a single receive
    std::span<const std::byte> rest;  // taken, and not sent; in `kept` or where the owner keeps it
    std::vector<std::byte> kept;
  };
  // What an entry of the submission queue asks for, by its place in the queue.
  struct entry {
    of what = of::nothing;
    std::size_t slot = 0;
    std::uint32_t generation = 0;
    std::span<const std::byte> bytes{};  // of a send
    bool more = false;                   // bytes may be pending behind them
  };
  // What is to be asked for when the queue has room.
  struct request {
    of what;
    std::size_t slot;
    std::uint32_t generation;
    std::uint64_t cancelled = 0;  // user data of what a cancel is of
  };

  static std::uint64_t tag(of what, std::uint64_t generation, std::uint64_t index) noexcept {
    return static_cast<std::uint64_t>(what) << 60 | (generation & 0x0fff'ffff) << 32 | index;
  }
  std::uint64_t tag_of(of what, std::size_t slot) const noexcept {
    return tag(what, slots_[slot].generation, slot);
  }
  bool is_current(std::uint64_t user_data) const noexcept;
  std::span<std::byte> scratch_of(std::size_t index) noexcept {
    return std::span(scratch_).subspan(index * send_size_, send_size_);
  }
  int descriptor(std::size_t slot) const noexcept {
    return registers_ ? static_cast<int>(slot) : slots_[slot].fd.get();
  }

  bool has_room() const noexcept { return ::io_uring_sq_space_left(&ring_) > 0; }
  std::size_t next_place() const noexcept { return ring_.sq.sqe_tail & ring_.sq.ring_mask; }
  io_uring_sqe& next_entry(of what, std::size_t slot, std::uint32_t generation);
  void ask(of what, std::size_t slot) {
    requests_.push_back({.what = what, .slot = slot, .generation = slots_[slot].generation});
  }
  void ask_to_receive(std::size_t slot);
  void want_send(std::size_t slot);
  void prepare(const request& wanted);
  void prepare_requests();
  void prepare_sends();
  std::size_t advance();
  bool must_enter() const noexcept;
  void enter_kernel();
  void provide(unsigned buffer, int offset) noexcept;
  void lend_up_to(unsigned count) noexcept;
  std::size_t dispatch();
  void handle(std::uint64_t user_data, int result, std::uint32_t flags);
  void connected(std::size_t slot);
  void received(std::size_t slot, int result, std::uint32_t flags);
  void sent_short(const entry& of_send, int result);

  struct free_memory {
    void operator()(void* memory) const noexcept { std::free(memory); }
  };

  transport_events& handler_;
  const std::size_t receive_size_;  // bytes of a buffer
  const unsigned most_buffers_;     // a power of two
  const std::size_t send_size_;
  const bool registers_;  // connections are kept: it is worth it
  const int stop_fd_;
  std::unique_ptr<io_uring_buf_ring, free_memory> provided_;
  std::unique_ptr<std::byte, free_memory> received_;
  unsigned buffers_ = 0;  // lent to the kernel so far
  std::uint64_t starved_receives_ = 0;
  std::vector<std::byte> scratch_;  // a piece for each entry
  std::vector<entry> entries_;      // by place
  unsigned consumed_ = 0;           // position in the queue up to which the kernel is known to have come
  std::vector<slot_state> slots_;
  std::vector<request> requests_;
  std::vector<std::size_t> to_send_;
  std::vector<std::size_t> wanted_;                // to_send_ while it is worked through
  std::chrono::steady_clock::time_point fetched_;  // when the completions that are being handled were
};

}  // namespace echobench
