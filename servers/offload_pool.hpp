// Threads for work that would block a loop.
#pragma once

#include "servers/blocking_queue.hpp"

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace echobench {

class offload_pool {
public:
  // Threads start with the first job, so that a server to which none is offloaded has none.
  explicit offload_pool(unsigned threads) : wanted_(threads) {}

  // From any thread. The job must not throw.
  void submit(std::function<void()> job) {
    std::call_once(started_, [this] {
      while (threads_.size() < wanted_)
        threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
    });
    jobs_.push(std::move(job));
  }

private:
  void work(const std::stop_token& stop) {
    while (const auto job = jobs_.pop(stop)) (*job)();
  }

  std::size_t wanted_;
  blocking_queue<std::function<void()>> jobs_;
  std::once_flag started_;
  std::vector<std::jthread> threads_;  // joined before the others go
};

}  // namespace echobench
