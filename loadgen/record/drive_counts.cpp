#include "loadgen/record/drive_counts.hpp"

#include <algorithm>

namespace echobench {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

part_counts& part_counts::operator+=(const part_counts& other) noexcept {
  requests += other.requests;
  cpu += other.cpu;
  waiting += other.waiting;
  polling += other.polling;
  blocked += other.blocked;
  service += other.service;
  slowest = std::max(slowest, other.slowest);
  bytes_out += other.bytes_out;
  bytes_in += other.bytes_in;
  return *this;
}

client_time& client_time::operator+=(const part_counts& window) noexcept {
  waiting += window.waiting;
  polling += window.polling;
  blocked += window.blocked;
  return *this;
}

nanoseconds client_time::busy() const noexcept {
  const auto idle = polling + std::max(blocked - waiting, 0ns);
  return std::max(elapsed - idle, 0ns);
}

}  // namespace echobench
