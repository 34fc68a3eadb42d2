// Workers of several processes, threads in each: rank 0 coordinates, the others follow.
//
// What a rank is to do is broadcast as plain data; what it did is merged by reduction. A drive starts at one
// time of day on all ranks. What was recorded comes with the outcome only, not while a target is driven.
#pragma once

#include "loadgen/drive/backend.hpp"
#include "loadgen/drive/local_workers.hpp"
#include "loadgen/mpi/ranks.hpp"

#include <exception>
#include <memory>
#include <vector>

namespace echobench {

class mpi_workers final : public backend {
public:
  static constexpr std::size_t most_targets = 64;

  // At rank 0. `all` must outlive it.
  mpi_workers(const ranks& all, const backend_setup& setup, std::vector<ranks::clock_difference> clocks);
  // The others stop following, unless an exception ends this rank: they may be amid a job then, and the
  // handler of the exception must end all ranks.
  ~mpi_workers() override;

  void connect() override;
  void start(const drive_plan& plan) override;
  bool driving() const override { return local_->driving(); }  // of rank 0; to wait() is to wait for all
  std::vector<drive_counts> wait() override;
  void settle() override;
  std::size_t live(std::size_t target) const override { return live_[target]; }
  target_outcome take_outcome(std::size_t target) override;
  bool take_record(std::size_t, target_record&) override { return false; }
  bool stop_requested() const override { return stop_requested_ || local_->stop_requested(); }
  std::size_t workers() const override { return threads_ * all_.count(); }
  std::chrono::nanoseconds lead() const override { return std::chrono::milliseconds(20); }
  std::uint64_t progress() const override { return local_->progress(); }

  // At the other ranks: does what rank 0 says until that is over.
  static void follow(const ranks& all, const backend_setup& setup);

private:
  void take_status();

  const ranks& all_;
  const std::size_t threads_;
  const std::size_t targets_;
  const std::vector<ranks::clock_difference> clocks_;
  const std::unique_ptr<local_workers> local_;
  const int exceptions_ = std::uncaught_exceptions();
  drive_plan plan_;
  std::vector<std::uint64_t> live_;  // of all ranks, by target
  bool stop_requested_ = false;
};

}  // namespace echobench
