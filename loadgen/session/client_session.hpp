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
      : plan_(plan), sending_(plan, connection, 0), receiving_(sending_) {}

  // Adds a request to what is to be sent.
  void request() noexcept { ++requested_; }

  std::uint64_t requested() const noexcept { return requested_; }
  std::uint64_t replied() const noexcept { return receiving_.at.sequence; }
  // Requests of which a byte at least was handed to the transport.
  std::uint64_t begun() const noexcept { return sending_.at.sequence + (sending_.offset > 0); }
  std::uint64_t outstanding() const noexcept { return requested_ - replied(); }
  bool has_pending() const noexcept { return sending_.at.sequence < requested_; }
  std::uint32_t connection() const noexcept { return receiving_.at.connection; }
  std::size_t reply_offset() const noexcept {
    return receiving_.offset;
  }  // bytes of the next reply that came

  // The next bytes to go, assembled in `scratch` or, where a payload is large, directly from the pool. Empty:
  // nothing to send. Valid until `scratch` is used again.
  std::span<const std::byte> pending(std::span<std::byte> scratch) const noexcept;

  // So many of them were handed to a transport, which sends all of them or breaks the connection. Their echo
  // may arrive from now on, also before the transport knows that it has sent them.
  void sent(std::size_t n) noexcept;

  // Checks bytes as they arrive, split in any way.
  progress received(std::span<const std::byte> bytes) noexcept;

  // A new connection takes the place of the last: what was in flight is forgotten, sequences go on.
  void restart() noexcept;

private:
  struct position {
    planned_message at;
    std::size_t offset = 0;  // within the message, below its size
    std::size_t size;        // of the message

    position(const message_plan& plan, std::uint32_t connection, std::uint64_t sequence) noexcept
        : at(plan.message_of(connection, sequence)), size(plan.size_of(at)) {}
    void advance(std::size_t n, const message_plan& plan) noexcept {
      for (offset += n; offset >= size;) {
        const std::size_t beyond = offset - size;
        *this = position(plan, at.connection, at.sequence + 1);
        offset = beyond;
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
};

}  // namespace echobench
