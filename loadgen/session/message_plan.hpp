// What every request of a run looks like, and the reply that it must bring.
//
// Request and reply have the same size: [frame header] [payload] ['\n']. Nothing is stored per request: any
// part of any message is generated from (connection, sequence).
#pragma once

#include "common/frame.hpp"
#include "loadgen/session/payload_pool.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace echobench {

struct operation {
  frame_op kind = frame_op::echo;
  std::chrono::microseconds param{0};  // work, sleep
  bool offload = false;                // work
};

class message_plan {
public:
  // `payload` is the size in bytes, without the header and without the '\n' of a line; not 0 for raw. Keeps a
  // reference to the pool.
  message_plan(framing kind, const operation& op, std::size_t payload, const payload_pool& pool);

  std::size_t size() const noexcept { return size_; }                // whole message, never 0
  std::size_t header_size() const noexcept { return header_size_; }  // 16 for frame, else 0

  std::array<std::byte, frame_header_size> reply_header(std::uint32_t connection,
                                                        std::uint64_t sequence) const noexcept;

  // Writes the request's bytes from `offset` on, as many as fit; returns how many.
  std::size_t copy_request(std::uint32_t connection, std::uint64_t sequence, std::size_t offset,
                           std::span<std::byte> into) const noexcept;

  // The request's bytes from `offset` on as far as they lie in the pool: nothing to copy. Empty when `offset`
  // is not in that part.
  std::span<const std::byte> stored_request(std::uint32_t connection, std::uint64_t sequence,
                                            std::size_t offset) const noexcept;

  // Whether `received` is what the reply has after its header at `offset` of the message; it must not reach
  // beyond the message's end.
  bool is_reply_text(std::uint32_t connection, std::uint64_t sequence, std::size_t offset,
                     std::span<const std::byte> received) const noexcept;

private:
  using wire_header = std::array<std::byte, frame_header_size>;

  // The sequence field differs between connections, too, so that a reply to another one cannot pass for want
  // of payload.
  static void put_sequence(wire_header& header, std::uint32_t connection, std::uint64_t sequence) noexcept;

  const payload_pool& pool_;
  wire_header request_header_{};
  wire_header reply_header_{};
  bool upper_;
  std::size_t header_size_;
  std::size_t tag_end_;     // header and tag
  std::size_t window_end_;  // header and payload
  std::size_t size_;
};

}  // namespace echobench
