// One worker's part of a whole.
#pragma once

#include <cstddef>

namespace echobench {

// Of `whole` things it owns number `first` and every `stride`-th after it.
struct share {
  std::size_t whole = 1;
  std::size_t first = 0;
  std::size_t stride = 1;

  constexpr std::size_t size() const noexcept {
    return whole > first ? (whole - first + stride - 1) / stride : 0;
  }
  constexpr std::size_t number_of(std::size_t index) const noexcept { return first + index * stride; }
};

}  // namespace echobench
