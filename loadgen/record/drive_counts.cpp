#include "loadgen/record/drive_counts.hpp"

#include <algorithm>

namespace echobench {
using std::chrono::nanoseconds;
using namespace std::chrono_literals;

void add_known(std::optional<nanoseconds>& sum, std::optional<nanoseconds> term) noexcept {
  if (sum && term) {
    *sum += *term;
  } else {
    sum.reset();
  }
}

part_counts& part_counts::operator+=(const part_counts& other) noexcept {
  requests += other.requests;
  served += other.served;
  answered += other.answered;
  due += other.due;
  in_flight += other.in_flight;
  cpu += other.cpu;
  add_known(waiting, other.waiting);
  late += other.late;
  polling += other.polling;
  blocked += other.blocked;
  service += other.service;
  slowest = std::max(slowest, other.slowest);
  bytes_out += other.bytes_out;
  bytes_in += other.bytes_in;
  return *this;
}

client_time& client_time::operator+=(const part_counts& window) noexcept {
  add_known(waiting, window.waiting);
  late += window.late;
  polling += window.polling;
  blocked += window.blocked;
  return *this;
}

nanoseconds client_time::kept_away() const noexcept {
  return std::min(std::max(waiting.value_or(0ns), late), elapsed);
}

nanoseconds client_time::busy() const noexcept {
  const auto idle = polling + std::max(blocked - kept_away(), 0ns);
  return std::max(elapsed - idle, 0ns);
}

}  // namespace echobench
