// The `frame` protocol: a header of 16 bytes in network byte order, then the payload.
//
//   offset  field         meaning
//   0       u32 length    payload bytes
//   4       u8  version   1
//   5       u8  op        frame_op
//   6       u8  flags     bit 0 offload, bit 7 reply; others ignored
//   7       u8  status    frame_status, in replies
//   8       u32 param     microseconds for work and sleep, else 0
//   12      u32 sequence  chosen by the client, returned unchanged
//
// A reply is the request's header with the reply bit and the status set, then the payload (for upper:
// mapped). A reply with a status other than ok has length 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace echobench {

// How a connection's bytes are cut into requests: by the header below, by '\n', or not at all.
enum class framing : std::uint8_t { frame, line, raw };

inline constexpr std::size_t frame_header_size = 16;
inline constexpr std::uint8_t frame_version = 1;
inline constexpr std::uint32_t default_max_frame = 1U << 20;  // payload bytes

enum class frame_op : std::uint8_t { echo = 0, upper = 1, work = 2, sleep = 3 };
enum class frame_status : std::uint8_t {
  ok = 0,
  unknown_op = 1,
  too_large = 2,
  bad_version = 3,
  param_too_large = 4
};

inline constexpr std::uint8_t flag_offload = 0x01;  // work: on another thread
inline constexpr std::uint8_t flag_reply = 0x80;

struct frame_header {
  std::uint32_t length = 0;  // payload bytes
  std::uint8_t version = frame_version;
  frame_op op = frame_op::echo;  // any value can arrive
  std::uint8_t flags = 0;
  frame_status status = frame_status::ok;
  std::uint32_t param = 0;  // us
  std::uint32_t sequence = 0;

  friend bool operator==(const frame_header&, const frame_header&) = default;
};

struct frame_limits {
  std::uint32_t max_frame = default_max_frame;  // payload bytes
  std::uint32_t max_work = 10'000'000;          // us
  std::uint32_t max_sleep = 10'000'000;         // us
};

// Decoding cannot fail: any 16 bytes are a header. check_request decides whether it is acceptable.
frame_header decode_header(std::span<const std::byte, frame_header_size> wire) noexcept;
void encode_header(const frame_header& header, std::span<std::byte, frame_header_size> wire) noexcept;

// The status that a server answers this request with. Checks in the protocol's order: version, length, op,
// param.
frame_status check_request(const frame_header& request, const frame_limits& limits) noexcept;

// The header of the reply; its length is 0 when the status is not ok.
frame_header reply_to(const frame_header& request, frame_status status) noexcept;

// After these the server closes, because the end of the request is not known or the request is too large to
// skip.
constexpr bool closes_connection(frame_status status) noexcept {
  return status == frame_status::too_large || status == frame_status::bad_version;
}

// Maps a-z to A-Z in place and nothing else, whatever the locale.
void to_upper_ascii(std::span<std::byte> text) noexcept;

}  // namespace echobench
