#include "loadgen/session/payload_pool.hpp"

#include "common/frame.hpp"

#include <random>
#include <string_view>

namespace echobench {
namespace {

constexpr std::string_view tag_digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789ab";

}  // namespace

payload_pool::payload_pool(std::uint64_t seed, std::size_t largest) : plain_(offsets + largest) {
  std::mt19937_64 random(seed);
  for (std::byte& character : plain_) character = static_cast<std::byte>(letters[random() % letters.size()]);
  upper_ = plain_;
  to_upper_ascii(upper_);
}

payload_pool::tag payload_pool::tag_of(std::uint32_t connection, std::uint64_t sequence) noexcept {
  std::uint64_t mixed = sequence + connection * 0x9E3779B97F4A7C15ULL;
  tag text;
  for (std::size_t i = 0; i < 8; ++i, mixed >>= 5) text[i] = static_cast<std::byte>(tag_digits[mixed & 31]);
  for (std::size_t i = 8; i < tag_size; ++i, connection >>= 5) {
    text[i] = static_cast<std::byte>(tag_digits[connection & 31]);
  }
  return text;
}

}  // namespace echobench
