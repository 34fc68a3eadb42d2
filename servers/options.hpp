// The command line of echo-server.
#pragma once

#include "servers/variant.hpp"

#include <CLI/CLI.hpp>

namespace echobench {

struct server_command {
  server_options server;
  enum class action { serve, list_text, list_json } what = action::serve;
};

// Declares every option on `app`, parses, and checks what options demand of one another.
// Throws CLI::ParseError, also for --help.
server_command parse_server_command(CLI::App& app, int argc, const char* const* argv);

}  // namespace echobench
