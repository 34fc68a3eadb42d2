// The processes of one run, as MPI gives them: collective calls, which every rank makes in the same order.
//
// A rank that waits sleeps: MPI's own blocking calls poll, and would take a CPU from the load. Data goes as
// bytes: ranks run the same program on the same kind of machine. Errors are MPI's: it ends the run and says
// why.
#pragma once

#include "loadgen/record/histogram.hpp"

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace echobench {

class ranks {
public:
  ranks(int* argc, char*** argv);  // MPI_Init_thread
  ranks(const ranks&) = delete;
  ranks& operator=(const ranks&) = delete;
  ~ranks();  // MPI_Finalize

  std::size_t rank() const noexcept { return rank_; }
  std::size_t count() const noexcept { return count_; }
  bool is_first() const noexcept { return rank_ == 0; }

  // Prints `why` with this rank's number and host, and ends all ranks.
  [[noreturn]] void give_up(const std::string& why) const;

  template <class Plain>
  void broadcast(Plain& value) const {  // from rank 0
    static_assert(std::is_trivially_copyable_v<Plain>);
    broadcast_bytes(std::as_writable_bytes(std::span(&value, 1)));
  }

  // At rank 0 those of all ranks, in their order; elsewhere empty. Each rank gives as many.
  template <class Plain>
  std::vector<Plain> gather(std::span<const Plain> local) const {
    static_assert(std::is_trivially_copyable_v<Plain>);
    std::vector<Plain> all(is_first() ? local.size() * count_ : 0);
    gather_bytes(std::as_bytes(local), std::as_writable_bytes(std::span(all)));
    return all;
  }
  template <class Plain>
  std::vector<Plain> gather(const Plain& local) const {
    return gather(std::span<const Plain>(&local, 1));
  }

  // At rank 0 `values` become the sums, or the greatest, of all ranks; elsewhere they are as they were.
  void sum(std::span<std::uint64_t> values) const { reduce(values, MPI_SUM); }
  void greatest(std::span<std::uint64_t> values) const { reduce(values, MPI_MAX); }
  void merge(histogram& local) const;

  // How much the time of day of each rank is ahead of rank 0's, and how wrong that may be: half of the
  // quickest of some round trips (Cristian, 1989). At rank 0, for all; elsewhere empty.
  struct clock_difference {
    std::int64_t ahead_ns = 0;
    std::int64_t error_ns = 0;
  };
  std::vector<clock_difference> compare_clocks() const;

  struct name {
    char text[MPI_MAX_PROCESSOR_NAME] = {};
  };
  name host() const;

private:
  void broadcast_bytes(std::span<std::byte> value) const;
  void gather_bytes(std::span<const std::byte> local, std::span<std::byte> all) const;
  void reduce(std::span<std::uint64_t> values, MPI_Op operation) const;

  std::size_t rank_ = 0;
  std::size_t count_ = 1;
};

}  // namespace echobench
