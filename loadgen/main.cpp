// echo-load: drives echo servers side by side and says whether the figures can be believed.
#include "common/process.hpp"
#include "loadgen/drive/run.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/report/deliver.hpp"

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  using namespace echobench;
  open_standard_streams();
  const auto parsed = parse_options(argc, argv);
  if (const int* status = std::get_if<int>(&parsed)) return *status;
  const auto& asked = std::get<options>(parsed);
  require_writable_files(asked);
  const measurement measured = run(asked);
  return deliver(measured, asked, std::vector<std::string>(argv, argv + argc));
} catch (const std::invalid_argument& error) {
  std::fprintf(stderr, "echo-load: %s\n", error.what());
  return echobench::exit_usage;
} catch (const std::exception& error) {
  std::fprintf(stderr, "echo-load: %s\n", error.what());
  return echobench::exit_failed;
}
