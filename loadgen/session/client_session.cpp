#include "loadgen/session/client_session.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

namespace echobench {

std::span<const std::byte> client_session::pending(std::span<std::byte> scratch) const noexcept {
  if (!has_pending()) return {};
  const auto stored = plan_.stored_request(sending_.at, sending_.offset);
  if (stored.size() >= scratch.size()) return stored;

  std::size_t filled = 0;
  for (position next = sending_; next.at.sequence < requested_ && filled < scratch.size();) {
    const auto copied = plan_.copy_request(next.at, next.offset, scratch.subspan(filled));
    next.advance(copied, plan_);
    filled += copied;
  }
  return scratch.first(filled);
}

void client_session::sent(std::size_t n) noexcept { sending_.advance(n, plan_); }

client_session::progress client_session::received(std::span<const std::byte> bytes) noexcept {
  progress result;
  const std::uint64_t first = replied();
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
      if (!plan_.is_reply_text(receiving_.at, receiving_.offset, part)) {
        result.found = finding::corrupt;
      } else {
        receiving_.advance(part.size(), plan_);
        bytes = bytes.subspan(part.size());
      }
    }
  }
  result.replies = replied() - first;
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
  const auto expected = plan_.reply_header(receiving_.at);
  if (header_ == expected) {
    receiving_.advance(count, plan_);
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
  if (replied() < sending_.at.sequence) return receiving_.size - receiving_.offset;
  return sending_.offset - std::min(sending_.offset, receiving_.offset);
}

void client_session::restart() noexcept { sending_ = receiving_ = position(plan_, connection(), requested_); }

}  // namespace echobench
