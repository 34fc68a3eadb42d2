// What every request of a run looks like, and the reply that it must bring.
//
// Request and reply have the same size: [frame header] [payload] ['\n']. Nothing is stored per request: which
// operation and payload it has, and any part of its bytes, follow from (seed, connection, sequence).
#pragma once

#include "common/frame.hpp"
#include "loadgen/plan/message_spec.hpp"
#include "loadgen/session/payload_pool.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace echobench {

// One request and its reply.
struct planned_message {
  std::uint32_t connection = 0;  // its number within the run
  std::uint32_t payload = 0;     // bytes, without header and without '\n'
  std::uint64_t sequence = 0;
  std::uint32_t operation = 0;  // index into message_spec::operations
};

class message_plan {
public:
  // Keeps a reference to the pool, which must hold the largest payload; that must not be 0 for raw.
  message_plan(const message_spec& spec, const payload_pool& pool);

  planned_message message_of(std::uint32_t connection, std::uint64_t sequence) const noexcept {
    planned_message planned{.connection = connection, .payload = only_payload_, .sequence = sequence};
    if (varies_) choose(planned);
    return planned;
  }

  std::size_t operations() const noexcept { return kinds_.size(); }
  std::uint32_t operation_of(std::uint32_t connection, std::uint64_t sequence) const noexcept {
    return kinds_.size() > 1 ? message_of(connection, sequence).operation : 0;
  }
  std::size_t largest_size() const noexcept { return header_size_ + largest_payload_ + tail_size_; }
  std::size_t size_of(const planned_message& of) const noexcept {
    return header_size_ + of.payload + tail_size_;
  }
  std::size_t header_size() const noexcept { return header_size_; }  // 16 for frame, else 0

  std::array<std::byte, frame_header_size> reply_header(const planned_message& of) const noexcept;

  // What a request has in its header's sequence field, and, of a field that is a connection's request 0,
  // which connection that is.
  static constexpr std::uint32_t sequence_field(std::uint32_t connection, std::uint64_t sequence) noexcept {
    return static_cast<std::uint32_t>(sequence) + connection * spread;
  }
  static constexpr std::uint32_t connection_of_first(std::uint32_t field) noexcept {
    std::uint32_t inverse = spread;  // right in its lowest 3 bits; each of Newton's steps doubles these
    for (int step = 0; step < 4; ++step) inverse *= 2 - spread * inverse;
    return field * inverse;
  }

  // Writes the request's bytes from `offset` on, as many as fit; returns how many.
  std::size_t copy_request(const planned_message& of, std::size_t offset,
                           std::span<std::byte> into) const noexcept;

  // The request's bytes from `offset` on as far as they lie in the pool: nothing to copy. Empty when `offset`
  // is not in that part.
  std::span<const std::byte> stored_request(const planned_message& of, std::size_t offset) const noexcept;

  // Whether `received` is what the reply has after its header at `offset` of the message; it must not reach
  // beyond the message's end.
  bool is_reply_text(const planned_message& of, std::size_t offset,
                     std::span<const std::byte> received) const noexcept;

private:
  using wire_header = std::array<std::byte, frame_header_size>;

  // Odd: distinct for distinct connections; large: far apart.
  static constexpr std::uint32_t spread = 0x9E37'79B1;

  struct kind {
    wire_header request{};
    wire_header reply{};
    bool upper = false;
    std::uint64_t below = 0;  // limit for 32 random bits: the first kind whose limit is above them is chosen
  };
  struct sizes {
    std::uint32_t low = 0;
    std::uint64_t count = 1;
    std::uint64_t below = 0;
  };

  void choose(planned_message& of) const noexcept;
  // The sequence field differs between connections, too, so that a reply to another connection is recognised
  // even without payload.
  static void put_variable(wire_header& header, const planned_message& of) noexcept;
  std::size_t tag_end(const planned_message& of) const noexcept;
  std::span<const std::byte> window(const planned_message& of, bool upper) const noexcept;

  const payload_pool& pool_;
  std::vector<kind> kinds_;
  std::vector<sizes> sizes_;
  std::uint64_t seed_;
  std::uint32_t alike_every_;
  bool varies_;
  std::uint32_t only_payload_;
  std::uint32_t largest_payload_;
  std::size_t header_size_;
  std::size_t tail_size_;  // '\n' of a line
};

}  // namespace echobench
