#include "loadgen/drive/part_clock.hpp"

#include "common/cpu.hpp"

#include <algorithm>

namespace echobench {

void part_clock::begin(const drive_plan& plan) {
  plan_ = plan;
  counts_ = {.parts = std::vector<part_counts>(plan.windows + 2), .stopped = plan.start};
  driving_ = true;
  part_ = 0;
  part_begin_ = plan.start;
  part_end_ = plan.end_of(0);
  if (!run_queue_) run_queue_.emplace();
  cpu_mark_ = thread_cpu_time();
  waiting_mark_ = run_queue_->now();
}

// A thread that does not work wakes at the end of each part. That it ends one late, and has not worked
// meanwhile, shows that something kept it away.
void part_clock::advance_to(clock::time_point now) {
  if (now < part_end_) return;
  const auto late = std::min(now, plan_.stop) - part_end_;
  const auto worked = next_part();
  this->now().late = std::max(late - worked, clock::duration::zero());
  while (now >= part_end_) next_part();
}

void part_clock::answered(clock::time_point due, clock::time_point sent, clock::time_point now) noexcept {
  part_counts& current = this->now();
  ++current.requests;
  current.service += now - sent;
  ++part_of(due).answered;
  if (sent >= part_begin_ || now <= sent) {
    current.served += 1;
    current.in_flight += now - sent;
    return;
  }
  auto begin = sent;
  for (std::size_t p = plan_.part_at(sent); begin < now; ++p) {
    const auto end = p < part_ ? std::min(plan_.end_of(p), now) : now;
    part_counts& part = counts_.parts[p];
    part.served += std::chrono::duration<double>(end - begin) / (now - sent);
    part.in_flight += end - begin;
    begin = end;
  }
}

void part_clock::end(clock::time_point stopped, clock::time_point now) {
  advance_to(now);
  while (part_ <= plan_.windows) next_part();  // it was broken off
  close_part();
  counts_.stopped = stopped;
  driving_ = false;
}

std::chrono::nanoseconds part_clock::next_part() {
  const auto cpu = close_part();
  ++part_;
  part_begin_ = part_end_;
  part_end_ = part_ <= plan_.windows ? plan_.end_of(part_) : clock::time_point::max();
  return cpu;
}

std::chrono::nanoseconds part_clock::close_part() {
  const auto cpu = thread_cpu_time() - cpu_mark_;
  const auto waiting = run_queue_->now();
  now().cpu += cpu;
  add_known(now().waiting,
            waiting && waiting_mark_ ? std::optional(*waiting - *waiting_mark_) : std::nullopt);
  cpu_mark_ += cpu;
  waiting_mark_ = waiting;
  return cpu;
}

}  // namespace echobench
