// Random numbers as pure functions: the same for a seed on every platform, in whatever order they are asked
// for. std's distributions differ between libraries; what a seed means must not.
#pragma once

#include <cmath>
#include <cstdint>

namespace echobench {

// The generator splitmix64 (Steele, Lea, Flood, 2014) with `state` as its state: one step.
constexpr std::uint64_t mixed_bits(std::uint64_t state) noexcept {
  state += 0x9e37'79b9'7f4a'7c15;
  state = (state ^ (state >> 30)) * 0xbf58'476d'1ce4'e5b9;
  state = (state ^ (state >> 27)) * 0x94d0'49bb'1331'11eb;
  return state ^ (state >> 31);
}

// Number `index` of a connection's stream.
constexpr std::uint64_t seeded_bits(std::uint64_t seed, std::uint64_t connection,
                                    std::uint64_t index) noexcept {
  return mixed_bits(mixed_bits(mixed_bits(seed) + connection) + index);
}

// Exponentially distributed with mean 1, from 53 of the bits.
inline double exponential(std::uint64_t bits) noexcept {
  return -std::log(static_cast<double>((bits >> 11) + 1) * 0x1p-53);  // of a number in (0, 1]
}

}  // namespace echobench
