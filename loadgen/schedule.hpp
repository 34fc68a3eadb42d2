// When requests of the open loop are due: a closed form in integer nanoseconds, so that nothing drifts
// however long a run, and however late a request was sent.
#pragma once

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>

namespace echobench {

enum class arrivals : std::uint8_t { uniform, poisson };

// One worker's part of a target's load.
struct schedule_share {
  std::uint64_t rate = 1;       // requests per second, of the whole target
  std::size_t connections = 1;  // of the whole target
  std::size_t first = 0;        // this worker owns connections first, first + stride, ...
  std::size_t stride = 1;
  std::uint64_t seed = 0;  // poisson only
};

// A stream of due times in ascending order, counted from the target's first moment of load.
//
// uniform: request k of connection i of n is due at (k n + i) / rate seconds. poisson: the target's arrivals
// are a Poisson process of `rate`, each at a connection drawn evenly; a worker's part of it, thinned by its
// share of the connections, is again one.
class schedule {
public:
  struct arrival {
    std::chrono::nanoseconds due;
    std::size_t connection;  // counted within the worker: 0 is `first`, 1 is `first + stride`
  };

  schedule(arrivals kind, const schedule_share& share)
      : kind_(kind),
        share_(share),
        own_((share.connections - share.first + share.stride - 1) / share.stride),
        random_(share.seed) {
    next_ = kind_ == arrivals::uniform ? uniform_arrival() : poisson_arrival();
  }

  const arrival& next() const noexcept { return next_; }

  void advance() noexcept {
    ++position_;
    next_ = kind_ == arrivals::uniform ? uniform_arrival() : poisson_arrival();
  }

private:
  static constexpr std::uint64_t ns_per_second = 1'000'000'000;

  arrival uniform_arrival() const noexcept {
    const std::uint64_t round = position_ / own_;
    const std::uint64_t connection = position_ % own_;
    const std::uint64_t request = round * share_.connections + share_.first + connection * share_.stride;
    // Whole seconds apart, so that the product stays within 64 bits.
    const std::uint64_t ns =
        request / share_.rate * ns_per_second + request % share_.rate * ns_per_second / share_.rate;
    return {std::chrono::nanoseconds(ns), static_cast<std::size_t>(connection)};
  }

  arrival poisson_arrival() noexcept {
    const double rate = static_cast<double>(share_.rate) * static_cast<double>(own_) /
                        static_cast<double>(share_.connections);
    // 53 bits of a draw in (0, 1]; std's distributions differ between libraries, a seed must not.
    const double uniform = static_cast<double>((random_() >> 11) + 1) * 0x1p-53;
    poisson_time_ += -std::log(uniform) / rate * 1e9;
    return {std::chrono::nanoseconds(std::llround(poisson_time_)),
            static_cast<std::size_t>(random_() % own_)};
  }

  arrivals kind_;
  schedule_share share_;
  std::uint64_t own_;           // connections of this worker, at least 1
  std::uint64_t position_ = 0;  // arrivals given out
  std::mt19937_64 random_;
  double poisson_time_ = 0;  // ns; a double is exact to 1 ns for 100 days
  arrival next_{};
};

}  // namespace echobench
