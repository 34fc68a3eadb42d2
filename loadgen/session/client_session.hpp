// One connection's protocol, without I/O: what to send next, and whether what arrives is what must arrive.
#pragma once

#include "loadgen/session/message_plan.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace echobench {

class client_session {
public:
  enum class finding : std::uint8_t { good, rejected, corrupt, unsolicited };

  struct progress {
    std::size_t replies = 0;        // completed and verified by these bytes
    finding found = finding::good;  // anything else: the session is over
  };

  // `connection` is its number within the run (part of every payload). Keeps a reference to the plan.
  client_session(const message_plan& plan, std::uint32_t connection) noexcept
      : plan_(plan), connection_(connection) {}

  // Adds a request to what is to be sent.
  void request() noexcept { ++requested_; }

  std::uint64_t requested() const noexcept { return requested_; }
  std::uint64_t replied() const noexcept { return receiving_.sequence; }
  std::uint64_t outstanding() const noexcept { return requested_ - receiving_.sequence; }
  bool has_pending() const noexcept { return sending_.sequence < requested_; }

  // The next bytes to go, assembled in `scratch` or, where a payload is large, directly from the pool. Empty:
  // nothing to send. Valid until `scratch` is used again.
  std::span<const std::byte> pending(std::span<std::byte> scratch) const noexcept;
  void sent(std::size_t n) noexcept;

  // Checks bytes as they arrive, split in any way.
  progress received(std::span<const std::byte> bytes) noexcept;

  // A new connection takes the place of the last: what was in flight is forgotten, sequences go on.
  void restart() noexcept;

private:
  struct position {
    std::uint64_t sequence = 0;
    std::size_t offset = 0;  // within the message, below its size

    void advance(std::size_t n, std::size_t message_size) noexcept {
      offset += n;
      while (offset >= message_size) {
        offset -= message_size;
        ++sequence;
      }
    }
  };

  finding take_header(std::span<const std::byte>& bytes) noexcept;
  std::size_t awaited() const noexcept;

  const message_plan& plan_;
  std::uint64_t requested_ = 0;
  position sending_;
  position receiving_;
  std::array<std::byte, frame_header_size> header_;  // of the reply that is arriving
  std::uint32_t connection_;
};

}  // namespace echobench
