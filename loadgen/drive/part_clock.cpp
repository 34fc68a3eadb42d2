#include "loadgen/drive/part_clock.hpp"

#include "common/cpu.hpp"

#include <algorithm>

namespace echobench {

void part_clock::begin(const drive_plan& plan) {
  plan_ = plan;
  counts_ = {.parts = std::vector<part_counts>(plan.windows + 2), .stopped = plan.start};
  driving_ = true;
  part_ = 0;
  part_end_ = plan.end_of(0);
  if (!run_queue_) run_queue_.emplace();
  cpu_mark_ = thread_cpu_time();
  waiting_mark_ = run_queue_->now();
}

void part_clock::advance_to(clock::time_point now) {
  while (now >= part_end_ && part_ <= plan_.windows) {
    close_part();
    ++part_;
    part_end_ = part_ <= plan_.windows ? plan_.end_of(part_) : clock::time_point::max();
  }
}

void part_clock::end(clock::time_point stopped, clock::time_point now) {
  advance_to(std::max(now, plan_.stop));
  close_part();
  counts_.stopped = stopped;
  driving_ = false;
}

void part_clock::close_part() {
  const auto cpu = thread_cpu_time();
  const auto waiting = run_queue_->now();
  now().cpu += cpu - cpu_mark_;
  now().waiting += waiting - waiting_mark_;
  cpu_mark_ = cpu;
  waiting_mark_ = waiting;
}

}  // namespace echobench
