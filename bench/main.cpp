// echo-microbench: what the primitives under the models cost. The command line is Google Benchmark's.
#include "common/build_info.hpp"
#include "common/cpu.hpp"

#include <benchmark/benchmark.h>

#include <string>

int main(int argc, char** argv) {
  using namespace echobench;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("commit",
                              std::string(build_info::commit) + (build_info::dirty ? "-dirty" : ""));
  benchmark::AddCustomContext("compiler", std::string(build_info::compiler));
  benchmark::AddCustomContext("flags", std::string(build_info::flags));
  benchmark::AddCustomContext("allowed_cpus", format_cpu_list(allowed_cpus()));
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
