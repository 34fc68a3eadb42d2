// An unbounded queue; its consumers sleep while it is empty. It holds at most one item for each connection.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>

namespace echobench {

template <class Item>
class blocking_queue {
public:
  void push(Item item) {
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
    }
    added_.notify_one();
  }

  // Waits for the oldest item; empty when a stop is requested and no item is left.
  std::optional<Item> pop(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    if (!added_.wait(lock, stop, [this] { return !items_.empty(); })) return std::nullopt;
    std::optional<Item> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

private:
  std::mutex mutex_;
  std::condition_variable_any added_;
  std::deque<Item> items_;
};

}  // namespace echobench
