// All workers of a run, wherever they are: what the coordinator asks of them, and what it gets.
#pragma once

#include "loadgen/plan/drive_plan.hpp"
#include "loadgen/plan/load_spec.hpp"
#include "loadgen/record/connection_counts.hpp"
#include "loadgen/record/drive_counts.hpp"
#include "loadgen/record/rank_share.hpp"
#include "loadgen/record/target_record.hpp"
#include "loadgen/session/message_plan.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace echobench {

// What has become of a target since its outcome was taken last; `opened` and `connecting`: since the start.
struct target_outcome {
  target_record record;                        // since that was taken last, be it with the outcome or alone
  std::size_t opened = 0;                      // connections, idle ones included
  std::vector<connection_counts> connections;  // that carry requests, by number
  std::chrono::nanoseconds connecting{0};      // kept connections: from the start until the last was open
  std::vector<rank_share> ranks;               // where workers are several processes
};

// One owner calls; every call but start() returns when all workers have done it. Throws what a worker threw.
class backend {
public:
  virtual ~backend() = default;

  virtual void connect() = 0;
  virtual void start(const drive_plan& plan) = 0;  // then wait(), before anything else
  virtual bool driving() const = 0;  // a worker is: without a connection left none goes on to the end
  virtual std::vector<drive_counts> wait() = 0;  // of each worker
  virtual void settle() = 0;

  std::vector<drive_counts> drive(const drive_plan& plan) {
    start(plan);
    return wait();
  }

  virtual std::size_t live(std::size_t target) const = 0;  // connections that carry requests and did not fail
  virtual target_outcome take_outcome(std::size_t target) = 0;
  // Adds what was recorded of a target since it was taken last, also while that target is driven; what a
  // worker does not give at once comes with the next. False: none gave any, or it is given with the outcome
  // only.
  virtual bool take_record(std::size_t target, target_record& into) = 0;
  virtual bool stop_requested() const = 0;

  virtual std::size_t workers() const = 0;  // how many wait() brings counts of
  // How long before a drive starts the backend must have its plan.
  virtual std::chrono::nanoseconds lead() const { return std::chrono::nanoseconds(0); }

  // Connections opened so far or replies of this drive so far, a little out of date; at any time.
  virtual std::uint64_t progress() const = 0;
};

struct backend_setup {
  const load_spec& load;  // these three outlive the backend
  const message_plan& messages;
  int stop_fd;
  std::size_t threads;  // of each process
  clock::time_point origin;
};
using backend_maker = std::function<std::unique_ptr<backend>(const backend_setup&)>;

}  // namespace echobench
