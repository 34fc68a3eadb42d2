#include "loadgen/session/message_plan.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace echobench {

message_plan::message_plan(framing kind, const operation& op, std::size_t payload, const payload_pool& pool)
    : pool_(pool),
      upper_(op.kind == frame_op::upper),
      header_size_(kind == framing::frame ? frame_header_size : 0),
      tag_end_(header_size_ + std::min(payload, payload_pool::tag_size)),
      window_end_(header_size_ + payload),
      size_(window_end_ + (kind == framing::line ? 1 : 0)) {
  assert(size_ > 0);
  frame_header request;
  request.length = static_cast<std::uint32_t>(payload);
  request.op = op.kind;
  request.flags = op.offload ? flag_offload : std::uint8_t{0};
  request.param = static_cast<std::uint32_t>(op.param.count());
  encode_header(request, request_header_);
  encode_header(reply_to(request, frame_status::ok), reply_header_);
}

void message_plan::put_sequence(wire_header& header, std::uint32_t connection,
                                std::uint64_t sequence) noexcept {
  constexpr std::uint32_t spread = 0x9E37'79B1;  // odd: distinct for distinct connections; large: far apart
  const std::uint32_t field = static_cast<std::uint32_t>(sequence) + connection * spread;
  for (std::size_t byte = 0; byte < 4; ++byte) {
    header[12 + byte] = static_cast<std::byte>(field >> (24 - 8 * byte));
  }
}

message_plan::wire_header message_plan::reply_header(std::uint32_t connection,
                                                     std::uint64_t sequence) const noexcept {
  wire_header header = reply_header_;
  put_sequence(header, connection, sequence);
  return header;
}

std::size_t message_plan::copy_request(std::uint32_t connection, std::uint64_t sequence, std::size_t offset,
                                       std::span<std::byte> into) const noexcept {
  std::size_t done = 0;
  // Copies what `part`, which begins at `begin` of the message, has to give at the present offset.
  const auto append = [&](std::span<const std::byte> part, std::size_t begin) {
    if (offset < begin || offset >= begin + part.size()) return;
    const auto rest = part.subspan(offset - begin);
    const auto count = std::min(rest.size(), into.size() - done);
    std::memcpy(into.data() + done, rest.data(), count);
    done += count;
    offset += count;
  };
  if (offset < header_size_) {
    wire_header header = request_header_;
    put_sequence(header, connection, sequence);
    append(header, 0);
  }
  if (offset < tag_end_) {
    const auto tag = payload_pool::tag_of(connection, sequence);
    append(std::span(tag).first(tag_end_ - header_size_), header_size_);
  }
  append(pool_.window(connection, sequence, window_end_ - tag_end_), tag_end_);
  constexpr std::byte newline{'\n'};
  append(std::span(&newline, size_ - window_end_), window_end_);
  return done;
}

std::span<const std::byte> message_plan::stored_request(std::uint32_t connection, std::uint64_t sequence,
                                                        std::size_t offset) const noexcept {
  if (offset < tag_end_ || offset >= window_end_) return {};
  return pool_.window(connection, sequence, window_end_ - tag_end_).subspan(offset - tag_end_);
}

bool message_plan::is_reply_text(std::uint32_t connection, std::uint64_t sequence, std::size_t offset,
                                 std::span<const std::byte> received) const noexcept {
  assert(offset >= header_size_ && offset + received.size() <= size_);
  // Whether what was received at the present offset agrees with `part`; moves on past it.
  const auto agrees = [&](std::span<const std::byte> part, std::size_t begin) {
    if (received.empty() || offset >= begin + part.size()) return true;
    const auto rest = part.subspan(offset - begin);
    const auto count = std::min(rest.size(), received.size());
    const bool same = std::memcmp(rest.data(), received.data(), count) == 0;
    received = received.subspan(count);
    offset += count;
    return same;
  };
  if (offset < tag_end_) {
    const auto tag = payload_pool::tag_of(connection, sequence);
    if (!agrees(std::span(tag).first(tag_end_ - header_size_), header_size_)) return false;
  }
  const auto window_size = window_end_ - tag_end_;
  const auto window = upper_ ? pool_.upper_window(connection, sequence, window_size)
                             : pool_.window(connection, sequence, window_size);
  return agrees(window, tag_end_) && (received.empty() || received.front() == std::byte{'\n'});
}

}  // namespace echobench
