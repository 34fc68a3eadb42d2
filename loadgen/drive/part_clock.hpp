// Where the time of one worker's thread goes, by the parts of a drive.
#pragma once

#include "loadgen/plan/drive_plan.hpp"
#include "loadgen/probe/run_queue_clock.hpp"
#include "loadgen/record/drive_counts.hpp"

#include <chrono>
#include <cstddef>
#include <optional>

namespace echobench {

// Used by one thread, the first to call begin().
class part_clock {
public:
  void begin(const drive_plan& plan);
  void advance_to(clock::time_point now);  // to the part that holds it
  void end(clock::time_point stopped, clock::time_point now);

  bool driving() const noexcept { return driving_; }
  part_counts& now() noexcept { return counts_.parts[part_]; }
  // A request that was due and sent at those times is answered, now.
  void answered(clock::time_point due, clock::time_point sent, clock::time_point now) noexcept;
  clock::time_point part_end() const noexcept { return part_end_; }
  const drive_counts& counts() const noexcept { return counts_; }  // of the last drive

private:
  part_counts& part_of(clock::time_point time) noexcept {  // not after now
    return time >= part_begin_ ? now() : counts_.parts[plan_.part_at(time)];
  }
  // Both return the CPU time that the thread used in the part.
  std::chrono::nanoseconds next_part();
  std::chrono::nanoseconds close_part();

  drive_plan plan_;
  drive_counts counts_;
  bool driving_ = false;
  std::size_t part_ = 0;
  clock::time_point part_begin_;
  clock::time_point part_end_;
  std::optional<run_queue_clock> run_queue_;
  std::chrono::nanoseconds cpu_mark_{0};                  // thread CPU time at the start of the part
  std::optional<std::chrono::nanoseconds> waiting_mark_;  // time that it had waited for a CPU by then
};

}  // namespace echobench
