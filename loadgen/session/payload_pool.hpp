// The text of every request: a tag that identifies it, then a window into a seeded pool of letters.
//
// The tag is the first 12 characters: 8 of them carry sequence + connection x odd constant, 4 the connection,
// least significant first. So two different (connection, sequence) never share a payload of 12 characters or
// more (connection below 2^20, sequence below 2^40), and a shorter one still differs between neighbours. Only
// letters and digits occur: no '\n'. The tag has no lower case and stands unchanged in an upper-cased reply.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace echobench {

class payload_pool {
public:
  static constexpr std::size_t tag_size = 12;
  using tag = std::array<std::byte, tag_size>;

  // For payloads of up to `largest` bytes. Read-only afterwards: threads share one.
  payload_pool(std::uint64_t seed, std::size_t largest);

  static tag tag_of(std::uint32_t connection, std::uint64_t sequence) noexcept;

  // What follows the tag; at most `largest` bytes. Lives as long as the pool.
  std::span<const std::byte> window(std::uint32_t connection, std::uint64_t sequence,
                                    std::size_t size) const noexcept {
    return {&plain_[offset_of(connection, sequence)], size};
  }
  // The same window in upper case.
  std::span<const std::byte> upper_window(std::uint32_t connection, std::uint64_t sequence,
                                          std::size_t size) const noexcept {
    return {&upper_[offset_of(connection, sequence)], size};
  }

private:
  static constexpr std::size_t offsets = 1U << 16;  // small enough to stay in the second-level cache

  static std::size_t offset_of(std::uint32_t connection, std::uint64_t sequence) noexcept {
    return static_cast<std::size_t>(sequence * 61 + connection * 40503ULL) % offsets;
  }

  std::vector<std::byte> plain_;
  std::vector<std::byte> upper_;
};

}  // namespace echobench
