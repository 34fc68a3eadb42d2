// What went wrong on one connection, and when.
#pragma once

#include "loadgen/session/load_error.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace echobench {

// Of each target this many are reported one by one; all are counted.
inline constexpr std::size_t faults_kept = 32;

struct fault {
  load_error kind = load_error::refused;
  int error = 0;                   // errno; 0: none
  std::chrono::nanoseconds at{0};  // since the run began to connect
  std::size_t connection = 0;      // its number among those of the target
  std::uint64_t request = 0;       // which of the connection's was unanswered, from 0
  std::size_t reply_bytes = 0;     // that had come of its reply, and were right
  bool idle = false;               // a connection that carries nothing
};

}  // namespace echobench
