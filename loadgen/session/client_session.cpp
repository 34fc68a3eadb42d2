#include "loadgen/session/client_session.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace echobench {

std::span<const std::byte> client_session::pending(std::span<std::byte> scratch) const noexcept {
  if (!has_pending()) return {};
  const auto stored = plan_.stored_request(connection_, sending_.sequence, sending_.offset);
  if (stored.size() >= scratch.size()) return stored;

  std::size_t filled = 0;
  for (position at = sending_; at.sequence < requested_ && filled < scratch.size();) {
    const auto copied = plan_.copy_request(connection_, at.sequence, at.offset, scratch.subspan(filled));
    at.advance(copied, plan_.size());
    filled += copied;
  }
  return scratch.first(filled);
}

void client_session::sent(std::size_t n) noexcept { sending_.advance(n, plan_.size()); }

client_session::progress client_session::received(std::span<const std::byte> bytes) noexcept {
  progress result;
  const std::uint64_t first = receiving_.sequence;
  while (!bytes.empty() && result.found == finding::good) {
    const auto limit = awaited();
    if (limit == 0) {
      result.found = finding::unsolicited;
    } else if (receiving_.offset < plan_.header_size()) {
      auto header = bytes.first(std::min(bytes.size(), limit));
      const auto before = header.size();
      result.found = take_header(header);
      bytes = bytes.subspan(before - header.size());
    } else {
      const auto part = bytes.first(std::min(bytes.size(), limit));
      if (!plan_.is_reply_text(connection_, receiving_.sequence, receiving_.offset, part)) {
        result.found = finding::corrupt;
      } else {
        receiving_.advance(part.size(), plan_.size());
        bytes = bytes.subspan(part.size());
      }
    }
  }
  result.replies = receiving_.sequence - first;
  return result;
}

// Judged when it is whole: an error status changes the length too, which comes first.
client_session::finding client_session::take_header(std::span<const std::byte>& bytes) noexcept {
  const auto count = std::min(bytes.size(), header_.size() - receiving_.offset);
  std::memcpy(header_.data() + receiving_.offset, bytes.data(), count);
  bytes = bytes.subspan(count);
  if (receiving_.offset + count < header_.size()) {
    receiving_.offset += count;
    return finding::good;
  }
  const auto expected = plan_.reply_header(connection_, receiving_.sequence);
  if (header_ == expected) {
    receiving_.advance(count, plan_.size());
    return finding::good;
  }
  auto refusal = decode_header(expected);
  refusal.length = 0;
  refusal.status = decode_header(header_).status;
  const bool rejected = refusal.status != frame_status::ok && decode_header(header_) == refusal;
  return rejected ? finding::rejected : finding::corrupt;
}

// How many bytes of the reply that is arriving can be there: no echo is ahead of its request.
std::size_t client_session::awaited() const noexcept {
  if (receiving_.sequence < sending_.sequence) return plan_.size() - receiving_.offset;
  return sending_.offset - std::min(sending_.offset, receiving_.offset);
}

void client_session::restart() noexcept { sending_ = receiving_ = {.sequence = requested_, .offset = 0}; }

}  // namespace echobench
