// When slow readers read, and how much: a little of what they were sent, at a steady rate.
#pragma once

#include "loadgen/plan/pacing.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace echobench {

class throttled_reads {
public:
  static constexpr std::chrono::nanoseconds interval = std::chrono::milliseconds(20);

  // `rate`: bytes per second of each reader.
  throttled_reads(std::size_t readers, std::uint64_t rate) noexcept
      : any_(readers > 0),
        bytes_(std::max<std::uint64_t>(rate * static_cast<std::uint64_t>(interval.count()) / 1'000'000'000,
                                       1)) {}

  void begin(clock::time_point now) noexcept { next_ = any_ ? now : clock::time_point::max(); }

  clock::time_point next() const noexcept { return next_; }
  void done(clock::time_point now) noexcept { next_ = now + interval; }
  std::uint64_t bytes() const noexcept { return bytes_; }  // of one read

private:
  bool any_;
  std::uint64_t bytes_;
  clock::time_point next_ = clock::time_point::max();
};

}  // namespace echobench
