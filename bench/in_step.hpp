// Threads or fibers that work through a benchmark's batches in step: all begin a batch together, and it lasts
// until the last of them has done its share. They are started once, so that a batch costs one barrier, and
// nothing is left over from one batch to the next.
#pragma once

#include "bench/support.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace echobench::bench {

// The share of one thread or fiber; they are numbered from 0.
using share_of = std::function<void(std::size_t index)>;

// How many threads run at home (support.hpp), and how many on the other CPUs.
struct seats {
  std::size_t at_home = 0;
  std::size_t elsewhere = 0;
  std::size_t count() const { return at_home + elsewhere; }
};

// A thread for each seat, those at home first. One that cannot be started ends the process, because the
// others would wait for it.
std::vector<std::jthread> start_threads(const seats& where, const share_of& share) noexcept;

// Runs the benchmark. `prepare` is called before each batch, while no thread works.
void threads_in_step(
    benchmark::State& state, std::size_t batch, const seats& where, const share_of& share,
    const std::function<void()>& prepare = [] {});
void fibers_in_step(benchmark::State& state, std::size_t batch, std::size_t count, const share_of& share);

}  // namespace echobench::bench
