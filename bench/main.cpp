// echo-microbench: what the primitives under the models cost. The command line is Google Benchmark's.
#include "bench/support.hpp"
#include "common/build_info.hpp"
#include "common/process.hpp"

#include <boost/version.hpp>
#include <fmt/format.h>
#include <malloc.h>
#include <sys/utsname.h>

#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  return std::getline(file, line) ? line : "unknown";
}

std::string kernel() {
  utsname system{};
  return ::uname(&system) == 0 ? system.release : "unknown";
}

// malloc() has thresholds for what it maps and what it returns to the kernel, and raises them with the
// largest block that was freed. Whether an iteration's memory comes from the kernel each time would depend on
// earlier rows, and on where the heap happens to end. So the thresholds begin as high as malloc() itself
// would raise them.
void settle_heap() {
  ::mallopt(M_MMAP_THRESHOLD, 32 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

}  // namespace

int main(int argc, char** argv) try {
  using namespace echobench;
  open_standard_streams();
  using benchmark::AddCustomContext;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  settle_heap();
  const cpu_list& all = bench::all_cpus();  // before this thread is bound to one of them
  restrict_to_cpus(bench::home());
  AddCustomContext("commit", std::string(build_info::commit) + (build_info::dirty ? "-dirty" : ""));
  AddCustomContext("compiler", std::string(build_info::compiler));
  AddCustomContext("flags", std::string(build_info::flags));
  AddCustomContext("boost", BOOST_LIB_VERSION);
  AddCustomContext("kernel", kernel());
  AddCustomContext("clock_source",
                   first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
  AddCustomContext("placement",
                   fmt::format("own thread on CPU {}, others on {}", format_cpu_list(bench::home()),
                               format_cpu_list(bench::others())));
  AddCustomContext("allowed_cpus", format_cpu_list(all));
  // glibc's locks use no atomic instructions until the process has had a second thread.
  std::thread([] {}).join();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  if (std::fflush(stdout) == 0 && std::cout) return exit_ok;
  std::fprintf(stderr, "echo-microbench: cannot write to standard output: results are missing\n");
  return exit_failed;
} catch (const std::exception& error) {
  std::fprintf(stderr, "echo-microbench: %s\n", error.what());
  return echobench::exit_failed;
}
