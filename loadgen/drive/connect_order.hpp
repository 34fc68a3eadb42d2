// In which order, and when, a worker opens the connections that are there before the warm-up: targets in
// turn, so that none is flooded; one role after the other.
#pragma once

#include "loadgen/drive/connection_table.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace echobench {

class connect_order {
public:
  // `reconnects`: connections that carry requests are opened for each, later. `rate`: connections per second
  // of all workers together; 0: as fast as they are accepted. The table must outlive it.
  connect_order(const connection_table& table, bool reconnects, std::uint64_t rate) noexcept
      : table_(table), first_(reconnects ? table.slot(role::idle, 0, 0) : 0), rate_(rate) {}

  std::size_t count() const noexcept { return table_.size() - first_; }

  // Of the connection of that index, 0 to count() - 1.
  std::size_t slot(std::size_t index) const noexcept {
    const std::size_t targets = table_.targets();
    index += first_;
    for (const role kind : {role::active, role::idle, role::slow}) {
      const std::size_t all = table_.count(kind) * targets;
      if (index < all) return table_.slot(kind, index % targets, index / targets);
      index -= all;
    }
    return 0;
  }

  // How long after the start it is due.
  std::chrono::nanoseconds due(std::size_t index) const noexcept {
    if (rate_ == 0) return std::chrono::nanoseconds(0);
    return std::chrono::nanoseconds(table_.part(role::active).number_of(index) * 1'000'000'000 / rate_);
  }

private:
  const connection_table& table_;
  const std::size_t first_;  // index of the first among all connections
  const std::uint64_t rate_;
};

}  // namespace echobench
