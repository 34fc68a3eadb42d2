#include "loadgen/session/message_plan.hpp"

#include "loadgen/plan/seeded.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace echobench {
namespace {

void put_u32(std::span<std::byte, 4> into, std::uint32_t value) noexcept {
  for (std::size_t byte = 0; byte < 4; ++byte) into[byte] = static_cast<std::byte>(value >> (24 - 8 * byte));
}

// Turns the weights of some parts into limits for 32 random bits.
template <class Weighted, class Part>
void set_limits(const std::vector<Weighted>& weighted, std::vector<Part>& parts) {
  std::uint64_t sum = 0;
  for (const auto& part : weighted) sum += part.weight;
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    below += weighted[i].weight;
    parts[i].below = (below << 32) / sum;
  }
}

template <class Part>
const Part& chosen(const std::vector<Part>& parts, std::uint64_t bits) noexcept {
  return *std::ranges::find_if(parts, [bits](const Part& part) { return bits < part.below; });
}

}  // namespace

message_plan::message_plan(const message_spec& spec, const payload_pool& pool)
    : pool_(pool),
      seed_(spec.seed),
      alike_every_(spec.alike_every),
      varies_(spec.operations.size() > 1 || spec.smallest_payload() != spec.largest_payload()),
      only_payload_(spec.smallest_payload()),
      largest_payload_(spec.largest_payload()),
      header_size_(spec.frames == framing::frame ? frame_header_size : 0),
      tail_size_(spec.frames == framing::line ? 1 : 0) {
  assert(header_size_ + only_payload_ + tail_size_ > 0);
  for (const auto& [op, weight] : spec.operations) {
    frame_header request;
    request.op = op.kind;
    request.flags = op.offload ? flag_offload : std::uint8_t{0};
    request.param = static_cast<std::uint32_t>(op.param.count());
    kind& made = kinds_.emplace_back();
    made.upper = op.kind == frame_op::upper;
    encode_header(request, made.request);
    encode_header(reply_to(request, frame_status::ok), made.reply);
  }
  for (const auto& [low, high, weight] : spec.payloads) {
    sizes_.push_back({.low = low, .count = std::uint64_t{high} - low + 1});
  }
  set_limits(spec.operations, kinds_);
  set_limits(spec.payloads, sizes_);
}

void message_plan::choose(planned_message& of) const noexcept {
  const auto bits = seeded_bits(seed_, of.connection % alike_every_, of.sequence);
  of.operation = static_cast<std::uint32_t>(&chosen(kinds_, bits & 0xffff'ffff) - kinds_.data());
  const sizes& from = chosen(sizes_, bits >> 32);
  of.payload = from.low;
  if (from.count > 1) of.payload += static_cast<std::uint32_t>(mixed_bits(bits) % from.count);
}

void message_plan::put_variable(wire_header& header, const planned_message& of) noexcept {
  put_u32(std::span(header).first<4>(), of.payload);
  put_u32(std::span(header).last<4>(), sequence_field(of.connection, of.sequence));
}

message_plan::wire_header message_plan::reply_header(const planned_message& of) const noexcept {
  wire_header header = kinds_[of.operation].reply;
  put_variable(header, of);
  return header;
}

std::size_t message_plan::tag_end(const planned_message& of) const noexcept {
  return header_size_ + std::min<std::size_t>(of.payload, payload_pool::tag_size);
}

std::span<const std::byte> message_plan::window(const planned_message& of, bool upper) const noexcept {
  const auto size = header_size_ + of.payload - tag_end(of);
  return upper ? pool_.upper_window(of.connection, of.sequence, size)
               : pool_.window(of.connection, of.sequence, size);
}

std::size_t message_plan::copy_request(const planned_message& of, std::size_t offset,
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
    wire_header header = kinds_[of.operation].request;
    put_variable(header, of);
    append(header, 0);
  }
  const auto tag_end = this->tag_end(of);
  if (offset < tag_end) {
    const auto tag = payload_pool::tag_of(of.connection, of.sequence);
    append(std::span(tag).first(tag_end - header_size_), header_size_);
  }
  append(window(of, false), tag_end);
  constexpr std::byte newline{'\n'};
  append(std::span(&newline, tail_size_), header_size_ + of.payload);
  return done;
}

std::span<const std::byte> message_plan::stored_request(const planned_message& of,
                                                        std::size_t offset) const noexcept {
  const auto begin = tag_end(of);
  if (offset < begin || offset >= header_size_ + of.payload) return {};
  return window(of, false).subspan(offset - begin);
}

bool message_plan::is_reply_text(const planned_message& of, std::size_t offset,
                                 std::span<const std::byte> received) const noexcept {
  assert(offset >= header_size_ && offset + received.size() <= size_of(of));
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
  const auto tag_end = this->tag_end(of);
  if (offset < tag_end) {
    const auto tag = payload_pool::tag_of(of.connection, of.sequence);
    if (!agrees(std::span(tag).first(tag_end - header_size_), header_size_)) return false;
  }
  return agrees(window(of, kinds_[of.operation].upper), tag_end) &&
         (received.empty() || received.front() == std::byte{'\n'});
}

}  // namespace echobench
