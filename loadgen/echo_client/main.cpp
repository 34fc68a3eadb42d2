// echo-client: a client to be used by hand. What is typed is sent to the server, what the server replies is
// printed, both at the same time.
#include "common/build_info.hpp"
#include "common/cli.hpp"
#include "common/process.hpp"
#include "common/socket.hpp"
#include "loadgen/echo_client/relay.hpp"

#include <sys/signalfd.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace {

using namespace echobench;
using namespace std::chrono_literals;

// To the first of a name's addresses that accepts. Throws std::system_error that says what to do.
unique_fd connect_to(const std::vector<endpoint>& addresses, std::chrono::nanoseconds timeout) {
  std::string tried;
  int error = 0;
  for (const endpoint& address : addresses) {
    connect_attempt attempt = connect_within(address, timeout);
    if (attempt.fd) return std::move(attempt.fd);
    if (!tried.empty()) tried.append(" (").append(std::strerror(error)).append("), ");
    tried += address.to_string();
    error = attempt.error;
  }
  throw std::system_error(error, std::system_category(),
                          "cannot connect to " + tried + ": start the server or correct the address");
}

int report_end(const std::string& peer, const relay_result& result) {
  std::string lost;
  if (result.unsent_bytes > 0)
    lost = "; " + std::to_string(result.unsent_bytes) + " bytes of the input were not sent";
  const auto report = [&](const std::string& what) {
    std::fprintf(stderr, "echo-client: %s%s\n", what.c_str(), lost.c_str());
    return exit_failed;
  };
  switch (result.how) {
    case relay_end::finished: return exit_ok;
    case relay_end::server_closed: return report(peer + " closed the connection before the input ended");
    case relay_end::server_broke:
      return report("the connection to " + peer + " broke: " + std::strerror(result.error));
    case relay_end::output_closed: return report("nobody reads the output any more");
    case relay_end::output_failed:
      return report(std::string("cannot write to standard output: ") + std::strerror(result.error));
    case relay_end::input_failed:
      return report(std::string("cannot read the input: ") + std::strerror(result.error));
    case relay_end::stopped: return report("stopped by a signal");
  }
  return exit_failed;
}

}  // namespace

int main(int argc, char** argv) try {
  open_standard_streams();
  CLI::App app(
      "Sends standard input to a server and prints what the server replies, both at the same time.\n"
      "To be used by hand, with servers of lines or plain bytes: echo-server --framing line, or raw.\n"
      "echo-server's default, --framing frame, is binary: the server closes when a line is typed.",
      "echo-client");
  std::string server;
  std::chrono::nanoseconds timeout = 5s;
  app.set_version_flag("--version", std::string(build_info::version));
  app.add_option("SERVER", server, "Where to connect")->type_name("HOST:PORT")->required();
  cli::add_duration(app, "--timeout", timeout, "Longest wait for the connection", 1ms, 1h);
  app.footer(
      "When the input ends, sending is shut down, and the rest of the replies is printed.\n"
      "Exit status: 0 both ends finished; 1 could not connect, or the server, the connection or the reader "
      "of\n"
      "the output ended before the input, or a signal came (stderr says which); 2 usage.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli::report(app, error);
  }

  const unique_fd connection = connect_to(resolve_all(server), timeout);
  const sigset_t stop_signals = block_stop_signals();
  const unique_fd stop(::signalfd(-1, &stop_signals, SFD_CLOEXEC | SFD_NONBLOCK));
  return report_end(server, relay(STDIN_FILENO, connection.get(), STDOUT_FILENO, stop.get()));
} catch (const std::invalid_argument& error) {
  std::fprintf(stderr, "echo-client: %s\n", error.what());
  return echobench::exit_usage;
} catch (const std::exception& error) {
  std::fprintf(stderr, "echo-client: %s\n", error.what());
  return echobench::exit_failed;
}
