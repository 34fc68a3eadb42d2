// echo-server: one process, one concurrency model, one echo protocol.
#include "common/cli.hpp"
#include "common/process.hpp"
#include "servers/events.hpp"
#include "servers/options.hpp"
#include "servers/stop_on_signal.hpp"
#include "servers/variants.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <new>
#include <system_error>

namespace echobench {
namespace {

int fail(exit_status status, std::string_view why, std::string_view advice = "") noexcept {
  std::fprintf(stderr, "echo-server: %.*s%.*s\n", static_cast<int>(why.size()), why.data(),
               static_cast<int>(advice.size()), advice.data());
  return status;
}

int serve(const variant& chosen, const server_options& options, const sigset_t& stop_signals) {
  if (const auto reason = chosen.unavailable_reason(); !reason.empty()) {
    return fail(exit_unavailable, fmt::format("{} is unavailable here: {}", chosen.about.name, reason));
  }
  if (!options.cpus.empty()) restrict_to_cpus(options.cpus);
  raise_descriptor_limit();
  const auto server = chosen.make(options);
  const stop_on_signal stop(stop_signals, chosen.stops);
  print_stopped(chosen, server->run(stop.token(), [&] { print_listening(chosen, *server); }));
  return exit_ok;
}

int run(int argc, char** argv, const sigset_t& stop_signals) {
  CLI::App app("A TCP echo server with the concurrency model of your choice", "echo-server");
  try {
    const server_command command = parse_server_command(app, argc, argv);
    if (command.what != server_command::action::serve) {
      print_list(command.what);
      return exit_ok;
    }
    for (const variant* v : variants::all) {
      if (v->about.name == command.server.variant) return serve(*v, command.server, stop_signals);
    }
    throw usage_error(
        fmt::format("--variant: there is no '{}'; --list shows those that exist", command.server.variant));
  } catch (const CLI::ParseError& error) {
    return cli::report(app, error);
  }
}

}  // namespace
}  // namespace echobench

int main(int argc, char** argv) try {
  echobench::open_standard_streams();                                  // before any socket
  return echobench::run(argc, argv, echobench::block_stop_signals());  // before any thread
} catch (const echobench::usage_error& error) {
  return echobench::fail(echobench::exit_usage, error.what());
} catch (const std::system_error& error) {
  const bool in_use = error.code() == std::errc::address_in_use;
  return echobench::fail(echobench::exit_failed, error.what(),
                         in_use ? "; --port 0 takes any free port" : "");
} catch (const std::bad_alloc&) {
  return echobench::fail(echobench::exit_failed, "out of memory (ulimit -v); fewer --threads need less");
} catch (const std::exception& error) {
  return echobench::fail(echobench::exit_failed, error.what());
}
