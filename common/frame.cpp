#include "common/frame.hpp"

namespace echobench {
namespace {

std::uint32_t load_u32(const std::byte* from) noexcept {
  return (std::to_integer<std::uint32_t>(from[0]) << 24) | (std::to_integer<std::uint32_t>(from[1]) << 16) |
         (std::to_integer<std::uint32_t>(from[2]) << 8) | std::to_integer<std::uint32_t>(from[3]);
}

void store_u32(std::uint32_t value, std::byte* to) noexcept {
  to[0] = static_cast<std::byte>(value >> 24);
  to[1] = static_cast<std::byte>(value >> 16);
  to[2] = static_cast<std::byte>(value >> 8);
  to[3] = static_cast<std::byte>(value);
}

}  // namespace

frame_header decode_header(std::span<const std::byte, frame_header_size> wire) noexcept {
  return {.length = load_u32(&wire[0]),
          .version = std::to_integer<std::uint8_t>(wire[4]),
          .op = static_cast<frame_op>(wire[5]),
          .flags = std::to_integer<std::uint8_t>(wire[6]),
          .status = static_cast<frame_status>(wire[7]),
          .param = load_u32(&wire[8]),
          .sequence = load_u32(&wire[12])};
}

void encode_header(const frame_header& header, std::span<std::byte, frame_header_size> wire) noexcept {
  store_u32(header.length, &wire[0]);
  wire[4] = static_cast<std::byte>(header.version);
  wire[5] = static_cast<std::byte>(header.op);
  wire[6] = static_cast<std::byte>(header.flags);
  wire[7] = static_cast<std::byte>(header.status);
  store_u32(header.param, &wire[8]);
  store_u32(header.sequence, &wire[12]);
}

frame_status check_request(const frame_header& request, const frame_limits& limits) noexcept {
  if (request.version != frame_version) return frame_status::bad_version;
  if (request.length > limits.max_frame) return frame_status::too_large;
  switch (request.op) {
    case frame_op::echo:
    case frame_op::upper: return frame_status::ok;
    case frame_op::work:
      return request.param > limits.max_work ? frame_status::param_too_large : frame_status::ok;
    case frame_op::sleep:
      return request.param > limits.max_sleep ? frame_status::param_too_large : frame_status::ok;
  }
  return frame_status::unknown_op;
}

frame_header reply_to(const frame_header& request, frame_status status) noexcept {
  frame_header reply = request;
  reply.flags |= flag_reply;
  reply.status = status;
  if (status != frame_status::ok) reply.length = 0;
  return reply;
}

void to_upper_ascii(std::span<std::byte> text) noexcept {
  for (std::byte& character : text) {
    const auto code = std::to_integer<std::uint8_t>(character);
    const bool lower = code >= 'a' && code <= 'z';
    character = static_cast<std::byte>(code ^ (lower ? 0x20U : 0U));
  }
}

}  // namespace echobench
