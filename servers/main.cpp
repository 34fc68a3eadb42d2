// echo-server: one process, one concurrency model, one echo protocol.
#include "common/cli.hpp"
#include "common/process.hpp"
#include "servers/events.hpp"
#include "servers/options.hpp"
#include "servers/variants.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <thread>

namespace echobench {
namespace {

// Turns SIGINT and SIGTERM, which every thread blocks, into a request to stop.
class stop_on_signal {
public:
  explicit stop_on_signal(const sigset_t& signals)
      : waiter_([this, signals] {
          int signal = 0;
          ::sigwait(&signals, &signal);
          stop_.request_stop();
        }) {}
  ~stop_on_signal() { ::pthread_kill(waiter_.native_handle(), SIGTERM); }  // in case none has come

  std::stop_token token() const noexcept { return stop_.get_token(); }

private:
  std::stop_source stop_;
  std::jthread waiter_;
};

int serve(const variant& chosen, const server_options& options, const sigset_t& stop_signals) {
  if (const auto reason = chosen.unavailable_reason(); !reason.empty()) {
    fmt::print(stderr, "echo-server: {} is unavailable here: {}\n", chosen.name, reason);
    return exit_unavailable;
  }
  if (!options.cpus.empty()) restrict_to_cpus(options.cpus);
  raise_descriptor_limit();
  const auto server = chosen.make(options);
  print_listening(chosen, *server);
  const stop_on_signal stop(stop_signals);
  print_stopped(chosen, server->run(stop.token()));
  return exit_ok;
}

}  // namespace
}  // namespace echobench

int main(int argc, char** argv) {
  using namespace echobench;
  const sigset_t stop_signals = block_stop_signals();  // before any thread
  CLI::App app("A TCP echo server, by the concurrency model of your choice", "echo-server");
  try {
    const server_command command = parse_server_command(app, argc, argv);
    if (command.what != server_command::action::serve) {
      print_list(command.what);
      return exit_ok;
    }
    for (const variant* v : variants::all) {
      if (v->name == command.server.variant) return serve(*v, command.server, stop_signals);
    }
    fmt::print(stderr, "echo-server: --variant: there is no '{}'; --list shows those that exist\n",
               command.server.variant);
    return exit_usage;
  } catch (const CLI::ParseError& error) {
    return cli::report(app, error);
  } catch (const usage_error& error) {
    fmt::print(stderr, "echo-server: {}\n", error.what());
    return exit_usage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "echo-server: {}\n", error.what());
    return exit_failed;
  }
}
