// How many connections a server has over all its loops; accepting pauses at the limit.
#pragma once

#include "servers/variant.hpp"

#include <atomic>
#include <cstddef>

namespace echobench {

// Safe from any thread. Each loop asks before it accepts, so that n loops which accept at the same time
// exceed the limit by n - 1 at most.
class connection_count {
public:
  explicit connection_count(const server_options& options) noexcept : limit_(options.max_connections) {}

  bool full() const noexcept { return limit_ > 0 && live_.load(std::memory_order_relaxed) >= limit_; }
  void add() noexcept { live_.fetch_add(1, std::memory_order_relaxed); }
  void remove() noexcept { live_.fetch_sub(1, std::memory_order_relaxed); }

private:
  std::size_t limit_;
  std::atomic<std::size_t> live_{0};
};

}  // namespace echobench
