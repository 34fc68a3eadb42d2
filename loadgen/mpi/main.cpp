// echo-load-mpi: echo-load on several hosts, `mpirun -n K ... echo-load-mpi [options] TARGET...`. Connections
// and rate are of all ranks together, --threads of each. Rank 0 coordinates, judges and reports.
#include "common/process.hpp"
#include "loadgen/drive/coordinator.hpp"
#include "loadgen/drive/reached_targets.hpp"
#include "loadgen/drive/resolved_load.hpp"
#include "loadgen/drive/run.hpp"
#include "loadgen/drive/stop_signals.hpp"
#include "loadgen/mpi/mpi_workers.hpp"
#include "loadgen/mpi/ranks.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/report/deliver.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace {

using namespace echobench;

// A drive starts at one time of day; a rank that is off by this would be early or late by as much.
constexpr std::chrono::nanoseconds clock_tolerance = std::chrono::milliseconds(1);

std::vector<ranks::clock_difference> agreeing_clocks(const ranks& all) {
  auto differences = all.compare_clocks();
  for (std::size_t rank = 1; rank < differences.size(); ++rank) {
    const std::chrono::nanoseconds ahead(differences[rank].ahead_ns);
    const std::chrono::nanoseconds error(differences[rank].error_ns);
    if (std::chrono::abs(ahead) <= clock_tolerance + error) continue;
    all.give_up(
        fmt::format("the clock of rank {} is {:.3f} s {} (within {:.0f} us), which is more than {} ms: "
                    "synchronise the hosts' clocks (chrony, PTP)",
                    rank, std::chrono::duration<double>(std::chrono::abs(ahead)).count(),
                    ahead.count() > 0 ? "ahead" : "behind", static_cast<double>(error.count()) / 1e3,
                    std::chrono::duration_cast<std::chrono::milliseconds>(clock_tolerance).count()));
  }
  return differences;
}

// Rank 0 finds them for all: on another host a name may have other addresses.
using target_addresses = std::array<endpoint, mpi_workers::most_targets>;

// All read the same command line, and rank 0 alone prints its help or what is wrong with it.
std::variant<options, int> parse_once(const ranks& all, int argc, char** argv) {
  if (all.is_first()) return parse_options(argc, argv);
  try {
    return command_line().parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code();
  }
}

// Each thread of each rank has a connection, or it would have nothing to do.
bool are_too_many(const ranks& all, const options& asked) {
  const std::size_t threads = all.count() * asked.threads;
  if (threads <= asked.load.connections) return false;
  if (all.is_first()) {
    fmt::print(stderr,
               "echo-load-mpi: --connections {} is less than the {} threads of {} rank(s): ask for more "
               "connections, or for fewer ranks or --threads\n",
               asked.load.connections, threads, all.count());
  }
  return true;
}

int coordinate(const ranks& all, const options& asked, const std::vector<std::string>& argv) {
  require_writable_files(asked);
  auto reached = reach_targets(asked);
  target_addresses addresses;
  std::ranges::transform(reached, addresses.begin(), &reached_target::address);
  all.broadcast(addresses);
  auto clocks = agreeing_clocks(all);
  const auto make_backend = [&](const backend_setup& setup) -> std::unique_ptr<backend> {
    return std::make_unique<mpi_workers>(all, setup, std::move(clocks));
  };
  return deliver(run_with(asked, std::move(reached), make_backend, all.count()), asked, argv);
}

void follow(const ranks& all, const options& asked) {
  target_addresses addresses;
  all.broadcast(addresses);
  agreeing_clocks(all);
  const unique_fd stop = open_stop_signals();
  const load_spec load =
      resolved_load(asked, choose_engine(asked).chosen,
                    {addresses.begin(), addresses.begin() + asked.targets.size()}, all.count());
  const payload_pool pool(asked.seed, load.messages.largest_payload());
  const message_plan messages(load.messages, pool);
  raise_descriptor_limit();
  mpi_workers::follow(all, {load, messages, stop.get(), asked.threads, clock::now()});
}

}  // namespace

int main(int argc, char** argv) try {
  open_standard_streams();  // before MPI opens its sockets
  block_stop_signals();     // MPI's threads are not to be ended by what ends the run early
  const ranks all(&argc, &argv);
  try {
    const auto parsed = parse_once(all, argc, argv);
    if (const int* status = std::get_if<int>(&parsed)) return all.is_first() ? *status : exit_ok;
    const auto& asked = std::get<options>(parsed);
    if (asked.targets.size() > mpi_workers::most_targets)
      throw std::invalid_argument(fmt::format("more than {} TARGETs", mpi_workers::most_targets));
    if (are_too_many(all, asked)) return all.is_first() ? exit_usage : exit_ok;
    take_cpus(asked);
    if (all.is_first()) return coordinate(all, asked, std::vector<std::string>(argv, argv + argc));
    follow(all, asked);
    return exit_ok;
  } catch (const std::exception& error) {
    all.give_up(error.what());
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "echo-load-mpi: %s\n", error.what());
  return exit_failed;
}
