// An unbounded queue; its consumers sleep while it is empty. It holds at most one item for each connection.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace echobench {

template <class Item>
class blocking_queue {
public:
  void push(Item item) {
    bool somebody_sleeps = false;
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
      somebody_sleeps = sleeping_ > 0;
    }
    if (somebody_sleeps) added_.notify_one();
  }

  // Waits for the oldest item; empty when the queue is closed and no item is left.
  std::optional<Item> pop() {
    std::unique_lock lock(mutex_);
    ++sleeping_;
    added_.wait(lock, [this] { return !items_.empty() || closed_; });
    --sleeping_;
    if (items_.empty()) return std::nullopt;
    std::optional<Item> item(std::move(items_.front()));
    items_.pop_front();
    return item;
  }

  // No more items will come.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    added_.notify_all();
  }

private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::deque<Item> items_;
  unsigned sleeping_ = 0;
  bool closed_ = false;
};

}  // namespace echobench
