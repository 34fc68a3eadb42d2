#include "bench/support.hpp"

#include <unistd.h>

#include <fstream>

namespace echobench::bench {

const cpu_list& all_cpus() {
  static const cpu_list cpus = allowed_cpus();
  return cpus;
}

cpu_list home() { return {all_cpus().front()}; }

cpu_list others() {
  cpu_list cpus = all_cpus();
  if (cpus.size() > 1) cpus.erase(cpus.begin());
  return cpus;
}

void place_partner(std::int64_t cpus) { restrict_to_cpus(cpus == 1 ? home() : others()); }

void threaded(benchmark::internal::Benchmark* row) { row->UseRealTime()->MeasureProcessCPUTime(); }

void on_one_and_two_cpus(benchmark::internal::Benchmark* row) {
  row->ArgName("cpus")->Arg(1);
  if (all_cpus().size() > 1) row->Arg(2);
  threaded(row);
}

void wrong(benchmark::State& state, const std::string& what) {
  state.SkipWithError(("wrong answer: " + what).c_str());
}

void unavailable(benchmark::State& state, const std::string& why) {
  state.SkipWithError(("unavailable: " + why).c_str());
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace echobench::bench
