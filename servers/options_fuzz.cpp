// Any command line of echo-server describes a server that can be started, or is refused with a message.
#include "common/fuzzed_command_line.hpp"
#include "servers/options.hpp"

#include <cassert>

using namespace echobench;

namespace {

std::vector<std::string> names_of_options() {
  CLI::App app;
  const char* const help[] = {"echo-server", "--help"};
  try {
    parse_server_command(app, 2, help);
  } catch (const CLI::ParseError&) {
  }
  return option_names(app);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto names = names_of_options();
  CLI::App app;
  const fuzzed_command_line given("echo-server", names, {data, size});
  try {
    const server_command parsed = parse_server_command(app, given.argc(), given.argv());
    assert(parsed.what != server_command::action::serve || !parsed.server.variant.empty());
    assert(parsed.server.threads > 0 && parsed.server.backlog > 0);
  } catch (const CLI::ParseError& error) {
    assert(error.get_exit_code() == 0 || error.what()[0] != '\0');
  }
  return 0;
}
