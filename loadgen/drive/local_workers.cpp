#include "loadgen/drive/local_workers.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

namespace echobench {

local_workers::local_workers(std::vector<std::unique_ptr<worker>> workers) : workers_(std::move(workers)) {
  try {
    for (const auto& client : workers_) threads_.emplace_back([this, &client] { serve(*client); });
    run([](worker& client) { client.enter(); });
  } catch (const std::system_error& error) {
    start_job({});  // for those that have been started: they are joined
    if (threads_.size() == workers_.size()) throw;
    throw std::system_error(error.code(),
                            "cannot start client thread " + std::to_string(threads_.size() + 1) + " of " +
                                std::to_string(workers_.size()) +
                                ": lower --threads, or raise the limits of processes and memory (ulimit -u, "
                                "ulimit -v)");
  } catch (...) {
    start_job({});
    throw;
  }
}

local_workers::~local_workers() { start_job({}); }

void local_workers::connect() {
  connect_started_ = clock::now();
  run([](worker& client) { client.connect(); });
}

void local_workers::start(const drive_plan& plan) {
  start_job([plan](worker& client) { client.drive(plan); });
}

bool local_workers::driving() const {
  const std::lock_guard lock(mutex_);
  return busy_ > 0;
}

std::vector<drive_counts> local_workers::wait() {
  finish_job();
  std::vector<drive_counts> counts;
  for (const auto& client : workers_) counts.push_back(client->counts());
  return counts;
}

void local_workers::settle() {
  run([](worker& client) { client.settle(); });
}

std::size_t local_workers::live(std::size_t target) const {
  std::size_t sum = 0;
  for (const auto& client : workers_) sum += client->live(target);
  return sum;
}

target_outcome local_workers::take_outcome(std::size_t target) {
  target_outcome outcome;
  take_record(target, outcome.record);
  auto last = connect_started_;
  for (const auto& client : workers_) {
    const connection_table& table = client->table();
    outcome.connections.resize(table.part(role::active).whole);
    for (const role kind : {role::active, role::idle, role::slow}) {
      for (std::size_t i = 0; i < table.count(kind); ++i) {
        const std::size_t slot = table.slot(kind, target, i);
        const connection_counts counts = client->take_counts(slot);
        outcome.opened += counts.opened;
        if (kind == role::active) outcome.connections[table.number_of(slot)] = counts;
      }
    }
    last = std::max(last, client->last_connected(target));
  }
  outcome.connecting = last - connect_started_;
  return outcome;
}

bool local_workers::take_record(std::size_t target, target_record& into) {
  constexpr std::chrono::milliseconds patience(400);  // a worker looks up four times a second at least
  const bool at_once = !driving();
  bool any = false;
  for (const auto& client : workers_) {
    if (!spare_) spare_ = client->records().make_record();
    auto taken = at_once ? client->records().exchange(target, std::move(spare_))
                         : client->records().exchange_driven(std::move(spare_), patience);
    if (!taken) continue;
    into.merge(*taken);
    taken->clear();
    spare_ = std::move(taken);
    any = true;
  }
  return any;
}

bool local_workers::stop_requested() const { return workers_.front()->stop_requested(); }

std::uint64_t local_workers::progress() const {
  std::uint64_t sum = 0;
  for (const auto& client : workers_) sum += client->progress();
  return sum;
}

void local_workers::start_job(job work) {
  std::unique_lock lock(mutex_);
  wait_for_all(lock);  // those who run it read the job where it lies
  job_ = std::move(work);
  ++jobs_started_;
  busy_ = workers_.size();
  changed_.notify_all();
}

void local_workers::finish_job() {
  std::unique_lock lock(mutex_);
  wait_for_all(lock);
  if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

void local_workers::wait_for_all(std::unique_lock<std::mutex>& lock) {
  changed_.wait(lock, [this] { return busy_ == 0; });
}

void local_workers::serve(worker& client) {
  ::prctl(PR_SET_TIMERSLACK, 1);  // ns: sleeps end when they should, not up to 50 us later
  for (std::size_t seen = 1;; ++seen) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_started_ == seen; });
    if (!job_) return;
    const job& work = job_;
    lock.unlock();
    std::exception_ptr thrown;
    try {
      work(client);
    } catch (...) {
      thrown = std::current_exception();
    }
    lock.lock();
    if (thrown) thrown_ = thrown;
    if (--busy_ == 0) changed_.notify_all();
  }
}

std::unique_ptr<local_workers> make_local_workers(const backend_setup& setup, std::size_t rank,
                                                  std::size_t ranks) {
  std::vector<std::unique_ptr<worker>> workers;
  for (std::size_t i = 0; i < setup.threads; ++i) {
    workers.push_back(std::make_unique<worker>(setup.load, setup.messages, rank * setup.threads + i,
                                               ranks * setup.threads, setup.stop_fd, setup.origin));
  }
  return std::make_unique<local_workers>(std::move(workers));
}

}  // namespace echobench
