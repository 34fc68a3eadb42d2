// One connection's protocol, without I/O: what to send next, and whether what arrives is what must arrive.
#pragma once

#include "loadgen/session/message_plan.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace echobench {

// What can end a connection.
enum class error_kind : std::uint8_t {
  refused,      // the connection could not be opened
  reset,        // broken by the peer or the network
  timeout,      // no connection or no whole reply within --timeout
  short_reply,  // the peer closed while the connection was still wanted
  rejected,     // an error status in a well-formed reply: the server says that it will not
  corrupt,      // a byte of a reply differs
  unsolicited,  // bytes that nothing had asked for
};
inline constexpr std::size_t error_kinds = 7;
inline constexpr std::array<std::string_view, error_kinds> error_names{
    "refused", "reset", "timeout", "short", "rejected", "corrupt", "unsolicited"};

constexpr std::string_view name_of(error_kind kind) noexcept {
  return error_names[static_cast<std::size_t>(kind)];
}

// A reply that is not what the protocol demands; the others are failures to reply.
constexpr bool is_wrong_reply(error_kind kind) noexcept {
  return kind == error_kind::corrupt || kind == error_kind::unsolicited;
}

class client_session {
public:
  enum class verdict : std::uint8_t { good, rejected, corrupt, unsolicited };

  struct progress {
    std::size_t replies = 0;        // completed and verified by these bytes
    verdict found = verdict::good;  // anything else: the session is over
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

  verdict take_header(std::span<const std::byte>& bytes) noexcept;
  std::size_t awaited() const noexcept;

  const message_plan& plan_;
  std::uint64_t requested_ = 0;
  position sending_;
  position receiving_;
  std::array<std::byte, frame_header_size> header_;  // of the reply that is arriving
  std::uint32_t connection_;
};

}  // namespace echobench
