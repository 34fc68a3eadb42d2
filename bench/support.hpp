// What the benchmarks share: where their threads run, and how they report that they have no figure.
//
// A benchmark's timed loop runs inside what it measures: in the thread, the coroutine, the fiber or the chain
// of handlers. `for (auto _ : state)` works if one thread runs the whole loop; a chain of handlers calls
// state.KeepRunning(). Answers are checked after the loop.
#pragma once

#include "common/cpu.hpp"

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>

// Before a function that is called as if nothing were known of it.
#if __has_cpp_attribute(gnu::noipa)
#define ECHOBENCH_OPAQUE [[gnu::noipa]]
#else
#define ECHOBENCH_OPAQUE [[gnu::noinline]]
#endif

namespace echobench::bench {

// The CPUs that the process was given at its start, ascending.
const cpu_list& all_cpus();
// The first of them, to which main binds the benchmarks' own thread, and so every thread that is started.
cpu_list home();
// The others; home if there is no other.
cpu_list others();

// Threads that are started while this exists run on these CPUs; afterwards at home again.
class starting_on {
public:
  explicit starting_on(const cpu_list& cpus) { restrict_to_cpus(cpus); }
  ~starting_on() { restrict_to_cpus(home()); }  // NOLINT(bugprone-exception-escape): it was allowed before
  starting_on(const starting_on&) = delete;
  starting_on& operator=(const starting_on&) = delete;
};

// For two threads that hand something to each other: they share a CPU (`cpus:1`), or have one each
// (`cpus:2`). The second thread calls this with the benchmark's argument.
void place_partner(std::int64_t cpus);

// For a benchmark in which more than one thread works, or the kernel makes one wait: real time determines how
// long it runs, and is reported together with the CPU time of the whole process.
void threaded(benchmark::internal::Benchmark* row);
// ArgName("cpus") with 1 and, if the process may use more, 2; and threaded().
void on_one_and_two_cpus(benchmark::internal::Benchmark* row);

// No figure: an answer was wrong. The test of the benchmarks fails.
void wrong(benchmark::State& state, const std::string& what);
// No figure: this system lacks something, which `why` names.
void unavailable(benchmark::State& state, const std::string& why);
inline void check(benchmark::State& state, bool right, const char* otherwise) {
  if (!right) wrong(state, otherwise);
}

// Bytes of this process that are in memory (proc(5), statm).
std::size_t resident_bytes();

}  // namespace echobench::bench
