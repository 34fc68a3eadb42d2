// The workers of this process: a thread for each, which take the same job at the same time.
#pragma once

#include "loadgen/drive/backend.hpp"
#include "loadgen/drive/worker.hpp"

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace echobench {

// Between wait() and the next start() every worker's thread sleeps and the workers may be read.
class local_workers final : public backend {
public:
  using job = std::function<void(worker&)>;

  explicit local_workers(std::vector<std::unique_ptr<worker>> workers);
  ~local_workers() override;  // waits for what runs

  void connect() override;
  void start(const drive_plan& plan) override;
  bool driving() const override;
  std::vector<drive_counts> wait() override;
  void settle() override;
  std::size_t live(std::size_t target) const override;
  target_outcome take_outcome(std::size_t target) override;
  bool take_record(std::size_t target, target_record& into) override;
  bool stop_requested() const override;
  std::size_t workers() const override { return workers_.size(); }
  std::uint64_t progress() const override;

  void start_job(job work);  // on every worker, each in its thread; waits for what runs
  void finish_job();         // until all have done it; throws what one of them threw
  void run(job work) {
    start_job(std::move(work));
    finish_job();
  }

private:
  void serve(worker& client);
  void wait_for_all(std::unique_lock<std::mutex>& lock);

  std::vector<std::unique_ptr<worker>> workers_;
  std::unique_ptr<target_record> spare_;  // cleared
  clock::time_point connect_started_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  job job_;  // empty: the threads end
  std::size_t jobs_started_ = 0;
  std::size_t busy_ = 0;
  std::exception_ptr thrown_;
  std::vector<std::jthread> threads_;
};

// Of process `rank` of `ranks`; its workers own their part of the connections.
std::unique_ptr<local_workers> make_local_workers(const backend_setup& setup, std::size_t rank = 0,
                                                  std::size_t ranks = 1);

}  // namespace echobench
