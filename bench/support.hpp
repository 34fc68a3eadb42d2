// What the benchmarks share: where their threads run, and what they say when they have no figure to give.
//
// A benchmark's timed loop runs inside what it measures: in the thread, the coroutine, the fiber or the chain
// of handlers. `for (auto _ : state)` works wherever one thread runs the whole loop; a chain of handlers asks
// state.KeepRunning(). Answers are checked after the loop.
#pragma once

#include "common/cpu.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace echobench::bench {

// The CPUs that the process was given at its start, ascending.
const cpu_list& all_cpus();
// The first of them, to which main binds the benchmarks' own thread, and so every thread that is started.
cpu_list home();
// The others; the home where there is no other.
cpu_list others();

// Threads that are started while this lives run on these CPUs; then home again.
class starting_on {
public:
  explicit starting_on(const cpu_list& cpus) { restrict_to_cpus(cpus); }
  ~starting_on() { restrict_to_cpus(home()); }  // NOLINT(bugprone-exception-escape): it was allowed before
  starting_on(const starting_on&) = delete;
  starting_on& operator=(const starting_on&) = delete;
};

// Two threads that hand something to one another: they share a CPU (`cpus:1`), or have one each (`cpus:2`).
// The second thread calls it with the benchmark's argument.
void place_partner(std::int64_t cpus);

// Real time decides how long it runs, and is given beside the CPU time of the whole process: for a benchmark
// in which more than one thread works, or the kernel makes one wait.
void threaded(benchmark::internal::Benchmark* row);
// ArgName("cpus") with 1 and, where the process may use more, 2; and threaded().
void on_one_and_two_cpus(benchmark::internal::Benchmark* row);

// No figure: an answer was wrong. The test of the benchmarks fails.
void wrong(benchmark::State& state, const std::string& what);
// No figure: this system has not what it takes. `why` says what.
void unavailable(benchmark::State& state, const std::string& why);
inline void check(benchmark::State& state, bool right, const char* otherwise) {
  if (!right) wrong(state, otherwise);
}

// What of this process is in memory, in bytes (proc(5), statm).
std::size_t resident_bytes();

}  // namespace echobench::bench
