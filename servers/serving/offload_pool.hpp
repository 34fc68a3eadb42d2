// Threads for work that would block a loop.
#pragma once

#include "servers/serving/blocking_queue.hpp"
#include "servers/session/server_totals.hpp"

#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace echobench {

class offload_pool {
public:
  // The threads start with the first job, so that a server without offloaded work has none.
  explicit offload_pool(unsigned threads) : wanted_(threads) {}
  ~offload_pool() { finish(); }

  // One of the threads carries the job out. If the system does not give all threads (a limit on processes or
  // memory), those that could be started share the work; if it gives none, the caller carries the job out
  // before this returns, and the next job tries again. From any thread. The job must not throw.
  void submit(std::function<void()> job) {
    if (has_threads()) {
      jobs_.push(std::move(job));
    } else {
      job();
    }
  }

  // To be called when no more jobs come: waits for those that are being carried out.
  void finish() {
    jobs_.close();
    const std::lock_guard lock(mutex_);
    threads_.clear();
  }
  void add_to(server_totals& totals) const noexcept { totals.count(server_error::offload, failures_); }

private:
  bool has_threads() {
    const std::lock_guard lock(mutex_);
    if (threads_.empty()) start();
    return !threads_.empty();
  }

  void start() {
    try {
      while (threads_.size() < wanted_) {
        threads_.emplace_back([this] { work(); });
      }
    } catch (const std::system_error&) {
      ++failures_;
    }
  }

  void work() {
    while (const auto job = jobs_.pop()) (*job)();
  }

  std::size_t wanted_;
  blocking_queue<std::function<void()>> jobs_;
  std::mutex mutex_;
  std::uint64_t failures_ = 0;         // guarded by mutex_
  std::vector<std::jthread> threads_;  // guarded by mutex_; joined before the others go
};

}  // namespace echobench
