#include "loadgen/drive/team.hpp"

#include <sys/prctl.h>

#include <utility>

namespace echobench {

team::team(std::vector<std::unique_ptr<worker>> workers) : workers_(std::move(workers)) {
  for (const auto& own : workers_) threads_.emplace_back([this, &own] { serve(*own); });
}

team::~team() { start({}); }

void team::start(job work) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return busy_ == 0; });  // those who run it read the job where it lies
  job_ = std::move(work);
  ++jobs_started_;
  busy_ = workers_.size();
  changed_.notify_all();
}

void team::wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void team::serve(worker& own) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // ns: sleeps end when they should, not up to 50 us later
  for (std::size_t seen = 1;; ++seen) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_started_ == seen; });
    if (!job_) return;
    const job& work = job_;
    lock.unlock();
    work(own);
    lock.lock();
    if (--busy_ == 0) changed_.notify_all();
  }
}

}  // namespace echobench
