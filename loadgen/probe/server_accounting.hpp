// The account of one target's server through a run: what it used in its slices, and what outside them.
#pragma once

#include "loadgen/probe/server_probe.hpp"

#include <sys/types.h>

#include <chrono>

namespace echobench {

// One owner calls, in this order: begin_measuring, then slices, then end_measuring.
class server_accounting {
public:
  // Before anything connects. Throws as server_probe does.
  explicit server_accounting(pid_t pid);

  void begin_measuring();  // what the warm-up began is awaited
  void end_measuring();

  // Each returns the server's CPU by then. What it used since its last slice is idle CPU.
  std::chrono::nanoseconds begin_slice();
  std::chrono::nanoseconds within_slice();                              // as of its last tick
  std::chrono::nanoseconds end_slice(std::chrono::nanoseconds driven);  // at rest; how long the slice took

  const server_use& use() const noexcept { return use_; }

private:
  server_probe probe_;
  server_use use_;
  std::chrono::nanoseconds driven_{0};    // settling times and drains included
  std::chrono::nanoseconds last_cpu_{0};  // at the end of the last slice
  std::chrono::nanoseconds children_at_begin_{0};
};

}  // namespace echobench
