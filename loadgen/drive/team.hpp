// The workers and their threads, which take the same job at the same time.
#pragma once

#include "loadgen/drive/worker.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace echobench {

// One owner calls; between wait() and the next start() every worker's thread sleeps and the workers may be
// read.
class team {
public:
  using job = std::function<void(worker&)>;

  explicit team(std::vector<std::unique_ptr<worker>> workers);
  ~team();  // waits for what runs

  void start(job work);  // on every worker, each in its thread; waits for what runs
  void wait();           // until all have done it
  void run(job work) {
    start(std::move(work));
    wait();
  }

  const std::vector<std::unique_ptr<worker>>& workers() const noexcept { return workers_; }

private:
  void serve(worker& own);

  std::vector<std::unique_ptr<worker>> workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  job job_;  // empty: the threads end
  std::size_t jobs_started_ = 0;
  std::size_t busy_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace echobench
