#include "loadgen/mpi/ranks.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

namespace echobench {
namespace {

using namespace std::chrono_literals;

constexpr auto nap = 200us;
constexpr int round_trips = 50;

// Until the request is done, asleep between two looks.
void wait(MPI_Request request) {
  int done = 0;
  for (;;) {
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    std::this_thread::sleep_for(nap);
  }
}

std::int64_t time_of_day_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

ranks::ranks(int* argc, char*** argv) {
  int provided = 0;
  MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
  int rank = 0;
  int count = 1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &count);
  rank_ = static_cast<std::size_t>(rank);
  count_ = static_cast<std::size_t>(count);
}

ranks::~ranks() { MPI_Finalize(); }

void ranks::give_up(const std::string& why) const {
  std::fprintf(stderr, "echo-load-mpi: rank %zu on %s: %s\n", rank_, host().text, why.c_str());
  std::fflush(stderr);
  MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  std::abort();
}

void ranks::broadcast_bytes(std::span<std::byte> value) const {
  MPI_Request request;
  MPI_Ibcast(value.data(), static_cast<int>(value.size()), MPI_BYTE, 0, MPI_COMM_WORLD, &request);
  wait(request);
}

void ranks::gather_bytes(std::span<const std::byte> local, std::span<std::byte> all) const {
  MPI_Request request;
  const int size = static_cast<int>(local.size());
  MPI_Igather(local.data(), size, MPI_BYTE, all.data(), size, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
  wait(request);
}

void ranks::reduce(std::span<std::uint64_t> values, MPI_Op operation) const {
  const std::vector<std::uint64_t> local(values.begin(), values.end());
  MPI_Request request;
  MPI_Ireduce(local.data(), is_first() ? values.data() : nullptr, static_cast<int>(values.size()),
              MPI_UINT64_T, operation, 0, MPI_COMM_WORLD, &request);
  wait(request);
}

void ranks::merge(histogram& local) const {
  std::vector<std::uint64_t> counts(local.counts().begin(), local.counts().end());
  sum(counts);
  histogram::summary all;
  for (const auto& summary : gather(local.summed_up())) {
    all.count += summary.count;
    all.saturated += summary.saturated;
    all.max = std::max(all.max, summary.max);
    all.sum += summary.sum;
  }
  if (is_first()) local.assign(counts, all);
}

std::vector<ranks::clock_difference> ranks::compare_clocks() const {
  std::vector<clock_difference> differences(is_first() ? count_ : 0);
  for (std::size_t other = 1; other < count_; ++other) {
    if (rank_ != 0 && rank_ != other) continue;
    std::int64_t quickest = INT64_MAX;
    for (int i = 0; i < round_trips; ++i) {  // quick, so by MPI's own blocking calls
      std::int64_t time = 0;
      if (is_first()) {
        const auto sent = time_of_day_ns();
        MPI_Send(&time, 1, MPI_INT64_T, static_cast<int>(other), 0, MPI_COMM_WORLD);
        MPI_Recv(&time, 1, MPI_INT64_T, static_cast<int>(other), 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        const auto took = time_of_day_ns() - sent;
        if (took >= quickest) continue;
        quickest = took;
        differences[other] = {.ahead_ns = time - (sent + took / 2), .error_ns = took / 2};
      } else {
        MPI_Recv(&time, 1, MPI_INT64_T, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        time = time_of_day_ns();
        MPI_Send(&time, 1, MPI_INT64_T, 0, 0, MPI_COMM_WORLD);
      }
    }
  }
  return differences;
}

ranks::name ranks::host() const {
  name host_name;
  int length = 0;
  MPI_Get_processor_name(host_name.text, &length);
  return host_name;
}

}  // namespace echobench
