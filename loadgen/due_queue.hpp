// Requests that are due while their connection is busy: one first-in first-out list per connection, all in
// one store that grows only when the backlog is larger than ever before.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace echobench {

class due_queue {
public:
  using time_point = std::chrono::steady_clock::time_point;

  explicit due_queue(std::size_t connections) : lists_(connections) {}

  std::size_t size() const noexcept { return size_; }  // of all connections
  bool empty(std::size_t connection) const noexcept { return lists_[connection].first == none; }

  void push(std::size_t connection, time_point intended) {
    std::uint32_t node = free_;
    if (node == none) {
      node = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      free_ = nodes_[node].next;
    }
    nodes_[node] = {intended, none};
    list& own = lists_[connection];
    (own.first == none ? own.first : nodes_[own.last].next) = node;
    own.last = node;
    ++size_;
  }

  // The earliest; the connection's list must not be empty.
  time_point pop(std::size_t connection) noexcept {
    list& own = lists_[connection];
    const std::uint32_t node = own.first;
    own.first = nodes_[node].next;
    nodes_[node].next = free_;
    free_ = node;
    --size_;
    return nodes_[node].intended;
  }

private:
  static constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

  struct entry {
    time_point intended;
    std::uint32_t next = none;
  };
  struct list {
    std::uint32_t first = none;
    std::uint32_t last = none;
  };

  std::vector<list> lists_;
  std::vector<entry> nodes_;
  std::uint32_t free_ = none;
  std::size_t size_ = 0;
};

}  // namespace echobench
