// Any command line of echo-load is a plan that can be carried out, or is refused as a mistake of its user.
#include "common/fuzzed_command_line.hpp"
#include "loadgen/plan/options.hpp"

#include <CLI/CLI.hpp>

#include <cassert>

using namespace echobench;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  command_line line;
  static const auto names = option_names(line.app());
  const fuzzed_command_line given("echo-load", names, {data, size});
  try {
    const options parsed = line.parse(given.argc(), given.argv());
    assert(!parsed.targets.empty());
    assert(parsed.load.connections > 0 && parsed.threads > 0);
    assert(parsed.duration.count() > 0 && parsed.interval.count() > 0);
    assert(!parsed.load.messages.operations.empty() && !parsed.load.messages.payloads.empty());
  } catch (const CLI::ParseError& error) {
    assert(error.get_exit_code() == 0 || error.what()[0] != '\0');
  }
  return 0;
}
