// What one worker records of one target; merged over the workers, what a run records of it.
#pragma once

#include "loadgen/record/arrival_gaps.hpp"
#include "loadgen/record/fault.hpp"
#include "loadgen/record/histogram.hpp"
#include "loadgen/session/load_error.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

namespace echobench {

// A request taken in hand within this time of its due time was on schedule.
inline constexpr std::chrono::nanoseconds schedule_tolerance = std::chrono::microseconds(100);

// Where the service time of a request went, by the kernel's timestamps.
struct kernel_times {
  histogram sending;    // from the actual send until the kernel gave it to the device
  histogram outside;    // from then until the reply came from the device: wire and server
  histogram receiving;  // from then until it was read
  histogram client;     // sending and receiving together: what user-space timing adds
  histogram handshake;  // of each connection when it was opened: a round trip without a server

  void merge(const kernel_times& other) noexcept;
  void clear() noexcept;
};

// What one worker recorded of one target. A request belongs to the measurement when it was due (closed loop:
// sent) in a window of a recorded drive, whenever its reply came. Errors count always, warm-up and drains
// included.
struct target_record {
  histogram service;                    // from the actual send; crr: from the start of connecting
  histogram response;                   // open loop: from the intended send
  histogram send_delay;                 // open loop: how late a request that was due was taken in hand
  histogram connect;                    // from the start of connecting to established; rr: before the warm-up
  std::vector<histogram> by_operation;  // of a mix: response, in the closed loop service; else empty
  std::optional<kernel_times> kernel;   // where they were asked for
  std::uint64_t on_schedule = 0;        // of them, within schedule_tolerance
  std::uint64_t waiting_for_pipeline = 0;  // of them, due while their connection's pipeline was full
  arrival_gaps due_gaps;      // open loop: between the due times of consecutive requests of a worker
  arrival_gaps sent_gaps;     // between the times at which they were handed to the kernel
  std::uint64_t dropped = 0;  // due, and never sent: the connection had failed, or the time-out came first
  std::array<std::uint64_t, load_error_kinds> errors{};
  std::array<int, load_error_kinds> first_errno{};  // of each kind; 0: none
  std::vector<fault> faults;                        // the first of them, in order

  void merge(const target_record& other);
  void clear();  // keeps its memory
};

}  // namespace echobench
