#include "servers/options.hpp"

#include "common/cli.hpp"

namespace echobench {
namespace {

using namespace std::chrono_literals;

std::uint32_t microseconds(std::chrono::nanoseconds time) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

}  // namespace

server_command parse_server_command(CLI::App& app, int argc, const char* const* argv) {
  constexpr std::chrono::nanoseconds longest_param = 4'294'967'295us;  // the frame's field holds no more
  server_command command;
  server_options& server = command.server;
  session_options& session = server.connection.session;
  std::string list;
  std::chrono::nanoseconds max_work = 10s;
  std::chrono::nanoseconds max_sleep = 10s;
  std::chrono::nanoseconds burn{0};

  app.add_option("--variant", server.variant, "The concurrency model to serve with; --list shows them")
      ->type_name("NAME");
  app.add_option("--list", list, "List the variants; --list=json for machines")
      ->expected(0, 1)
      ->default_str("text")
      ->check(CLI::IsMember({"text", "json"}))
      ->type_name("[=json]");
  app.add_option("--bind", server.bind, "Address to listen on, IPv4 or IPv6; may be repeated")
      ->type_name("ADDR")
      ->capture_default_str();
  cli::add_count(app, "--port", server.port, "TCP port; 0 takes any free one");
  cli::add_count(app, "--threads", server.threads, "Loops or workers", 1, 1024);
  cli::add_cpus(app, "--cpus", server.cpus, "Run only on these CPUs");
  cli::add_choice(app, "--framing", session.framing,
                  {{"frame", framing::frame}, {"line", framing::line}, {"raw", framing::raw}}, "Protocol");
  cli::add_choice(app, "--service", session.service, {{"echo", service::echo}, {"upper", service::upper}},
                  "What line and raw answer; upper is ASCII upper case");
  cli::add_count(app, "--backlog", server.backlog, "Connections that may wait to be accepted", 1, 65'535);
  cli::add_count(app, "--max-frame", session.limits.max_frame, "Largest payload of a frame, bytes", 0,
                 1U << 30);
  cli::add_count(app, "--max-connections", server.max_connections,
                 "Connections at once; at the limit accepting pauses; 0: as many as descriptors allow");
  cli::add_duration(app, "--max-work", max_work, "Longest work a frame may ask for", 0ns, longest_param);
  cli::add_duration(app, "--max-sleep", max_sleep, "Longest sleep a frame may ask for", 0ns, longest_param);
  cli::add_count(app, "--offload-threads", server.offload_threads, "Threads for offloaded work", 1, 1024);
  cli::add_duration(app, "--burn", burn, "CPU time to burn for each request: a known slow-down", 0ns, 1ms);
  cli::add_duration(app, "--idle-timeout", server.connection.idle_timeout,
                    "Close a connection without traffic for this time; 0: never");
  cli::add_duration(app, "--drain-timeout", server.drain_timeout, "Longest time that stopping may take", 0ns,
                    1h);

  app.footer(
      "SIGTERM, SIGINT and SIGHUP (unless it is ignored, nohup(1)) stop the server: it answers what it has\n"
      "received, and prints its totals.\n"
      "Exit status: 0 stopped; 1 could not run, or could not print (stderr says why); 2 usage; 77 "
      "unavailable "
      "here.");

  app.parse(argc, argv);

  if (app.count("--list") > 0) {
    command.what = list == "json" ? server_command::action::list_json : server_command::action::list_text;
    return command;
  }
  if (server.variant.empty()) throw CLI::RequiredError("--variant NAME");
  if (session.framing == framing::frame && session.service != service::echo) {
    throw CLI::ValidationError(
        "--service", "with --framing frame each request names its operation; use --framing line or raw");
  }
  session.limits.max_work = microseconds(max_work);
  session.limits.max_sleep = microseconds(max_sleep);
  session.burn = request_burn(burn);
  return command;
}

}  // namespace echobench
