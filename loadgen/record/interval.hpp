// What came of a target in some part of its measurement, kept small.
#pragma once

#include "loadgen/record/hdr_encoding.hpp"
#include "loadgen/record/target_record.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace echobench {

struct interval {
  std::size_t cell = 0;
  std::chrono::nanoseconds start{0};   // since the run began
  std::chrono::nanoseconds length{0};  // slices of other targets included
  std::chrono::nanoseconds driven{0};  // of it, the time that counts for this one
  std::uint64_t requests = 0;          // as in target_record: those due in it or before, answered in it
  std::uint64_t errors = 0;
  std::chrono::nanoseconds p50{0};  // response time, in the closed loop service time
  std::chrono::nanoseconds p99{0};
  std::chrono::nanoseconds max{0};
  std::chrono::nanoseconds service_max{0};
  std::chrono::nanoseconds send_delay_p99{0};  // open loop
  hdr_bytes service;
  hdr_bytes response;  // open loop

  // Of what was recorded in it.
  interval(std::size_t of_cell, std::chrono::nanoseconds begin, std::chrono::nanoseconds lasted,
           std::chrono::nanoseconds of_it_driven, const target_record& recorded);
};

}  // namespace echobench
