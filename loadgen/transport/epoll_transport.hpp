// Readiness: one level-triggered epoll instance, sends tried at once.
#pragma once

#include "loadgen/transport/kernel_timestamps.hpp"
#include "loadgen/transport/transport.hpp"

#include <sys/epoll.h>

#include <array>
#include <vector>

namespace echobench {

class epoll_transport final : public transport {
public:
  epoll_transport(const transport_settings& settings, transport_events& events);

  bool connect(std::size_t slot, const endpoint& to, const endpoint* source, reading how) override;
  void flush(std::size_t slot) override;
  void receive(std::size_t slot, std::size_t most) override;
  std::chrono::microseconds handshake(std::size_t slot) const noexcept override;
  bool has_news(std::size_t slot) const noexcept override {
    return is_readable(slots_[slot].fd.get(), slots_[slot].connecting);
  }
  void close(std::size_t slot) noexcept override { slots_[slot].fd.reset(); }
  void abort(std::size_t slot) noexcept override;
  bool poll() override;
  std::chrono::nanoseconds wait(std::chrono::nanoseconds longest) override;

private:
  struct slot_state {
    unique_fd fd;
    std::uint32_t generation = 0;    // distinguishes an event of this socket from one of its predecessor
    std::uint32_t receive_most = 0;  // 0: it is not read
    int send_error = 0;              // reported once the bytes that came before it have been read
    bool connecting = false;
    bool write_wanted = false;
    reading how = reading::as_it_comes;
    std::chrono::steady_clock::time_point kernel_sent{};
  };

  // Few, so that a due request does not wait for many replies.
  static constexpr std::size_t events_per_wait = 32;
  static constexpr std::size_t buffer_size = 64U << 10;
  static constexpr std::uint64_t stop_token = ~std::uint64_t{0};

  std::uint64_t token_of(std::size_t slot) const noexcept {
    return (std::uint64_t{slots_[slot].generation} << 32) | slot;
  }
  std::size_t fetch(std::chrono::nanoseconds longest) noexcept;
  void dispatch(std::size_t count);
  void handle(std::size_t slot, std::uint32_t happened);
  void connected(std::size_t slot);
  void read(std::size_t slot);
  void watch(std::size_t slot) noexcept;

  transport_events& handler_;
  std::unique_ptr<kernel_timestamps> timestamps_;  // empty: not asked for
  unique_fd epoll_;
  std::vector<slot_state> slots_;
  std::vector<std::byte> received_;
  std::vector<std::byte> scratch_;
  std::array<epoll_event, events_per_wait> events_;
};

}  // namespace echobench
