#include "loadgen/plan/options.hpp"

#include "common/build_info.hpp"
#include "common/cli.hpp"
#include "loadgen/session/payload_pool.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <string_view>

namespace echobench {
namespace {

using namespace std::chrono_literals;

constexpr double stream_window = 256 << 10;  // bytes in flight on a connection

[[noreturn]] void refuse(const std::string& why) { throw CLI::ValidationError(why); }

bool is_utf8(const std::string& text) {
  try {
    nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

// [NAME=]HOST:PORT
target parse_target(const std::string& text) {
  target parsed;
  const auto equals = text.find('=');
  parsed.host_and_port = text.substr(equals == std::string::npos ? 0 : equals + 1);
  if (equals == std::string::npos) return parsed;
  if (equals == 0) refuse("TARGET: '" + text + "' has an empty NAME before '='");
  parsed.name = text.substr(0, equals);
  if (!is_utf8(parsed.name)) refuse("TARGET: the NAME of '" + text + "' is not UTF-8, as the result must be");
  return parsed;
}

// TIME | exp:TIME
think_time parse_think(const std::string& text) {
  constexpr std::string_view exponential = "exp:";
  const bool spread = text.starts_with(exponential);
  const auto mean = parse_duration(spread ? text.substr(exponential.size()) : text);
  if (!mean || *mean > 1h) refuse("--think: '" + text + "' is neither TIME nor exp:TIME, up to 1h");
  return {.mean = *mean, .exponential = spread};
}

// ON/OFF
bursts parse_bursts(const std::string& text) {
  const auto slash = text.find('/');
  const auto on = parse_duration(text.substr(0, slash));
  const auto off = slash == std::string::npos ? std::nullopt : parse_duration(text.substr(slash + 1));
  if (!on || !off || *on < 1us || *on > 1h || *off > 1h)
    refuse("--bursts: '" + text + "' is not ON/OFF, two times from 1us to 1h, for example 10ms/90ms");
  return {.on = *on, .off = *off};
}

void check_messages(const message_spec& asked) {
  const bool timed = asked.has(frame_op::work) || asked.has(frame_op::sleep);
  if (asked.frames != framing::frame) {
    if (timed || asked.operations.size() > 1) {
      refuse("--op work, sleep and mix need --framing frame: other framings cannot carry them");
    }
    if (asked.frames == framing::raw && asked.smallest_payload() == 0) {
      refuse("--payload 0 needs --framing frame or line: raw would send nothing and await nothing");
    }
    if (asked.frames == framing::line && asked.largest_payload() >= 64 << 10) {
      refuse("--payload " + format_count(asked.largest_payload()) +
             " is too long for --framing line: at most 65535");
    }
  }
  if (asked.has(frame_op::upper) && asked.smallest_payload() <= payload_pool::tag_size) {
    refuse("--payload " + format_count(asked.smallest_payload()) +
           " is too short for --op upper: " + format_count(payload_pool::tag_size + 1) +
           " at least, so that a reply that is not mapped cannot pass");
  }
}

void check_rates(const options& asked) {
  if ((asked.rate != 0) + asked.sweep.has_value() + !asked.objectives.empty() > 1)
    refuse("--rate, --sweep and --slo: give one of them");
  if (!asked.seeks_rates()) return;
  const std::string option = asked.sweep ? "--sweep" : "--slo";
  if (asked.load.pattern != workload::rr) refuse(option + " needs --workload rr");
  if (asked.rounds != 0) refuse("--rounds is not for " + option + ": each rate is measured once");
}

void check(const options& asked) {
  const load_spec& load = asked.load;
  check_rates(asked);
  check_messages(load.messages);
  if (load.pattern == workload::crr && load.pipeline != 1) {
    refuse("--pipeline must be 1 with --workload crr: one request per connection");
  }
  if (load.pattern == workload::stream && asked.open_loop()) {
    refuse("--rate cannot be kept with --workload stream: its connections are always full");
  }
  if (asked.open_loop() && load.pace.think.mean > 0ns) {
    refuse("--think is for the closed loop: with --rate requests do not wait for replies");
  }
  if (load.slow_readers > 0 && load.pattern == workload::crr) {
    refuse("--slow-readers needs --workload rr or stream");
  }
  if (load.accuracy && (load.pattern != workload::rr || load.pipeline != 1 || asked.io == engine::io_uring)) {
    refuse(
        "--accuracy needs --workload rr, --pipeline 1 and --engine epoll or auto: a timestamp belongs to one "
        "request");
  }
  if (asked.threads > load.connections) {
    refuse("--threads " + std::to_string(asked.threads) + " is more than --connections " +
           std::to_string(load.connections) + ": a thread would have nothing to do");
  }
  if (asked.targets.size() > 1 && asked.warmup == 0ns) {
    refuse("--warmup must not be 0 with several TARGETs: slices are sized by the rate seen in it");
  }
  if (asked.seeks_rates()) return;
  if (asked.slice && asked.open_loop() && asked.targets.size() > 1 && *asked.slice < 100ms) {
    refuse("--slice " + format_duration(*asked.slice) +
           " is too short for --rate: open-loop slices last 100ms at least for the cost of a request, and 1s "
           "(auto) where latency is judged, so that queues can build");
  }
  if (asked.slice && asked.rounds == 0 && *asked.slice * asked.targets.size() > asked.duration) {
    refuse("--slice " + format_duration(*asked.slice) + " times " + std::to_string(asked.targets.size()) +
           " TARGET(s) is longer than --duration " + format_duration(asked.duration) +
           ": --rounds 1 measures a round, however long it takes");
  }
}

}  // namespace

struct command_line::texts {
  std::vector<std::string> targets;
  std::string op = "echo";
  std::string payload = "64";
  std::string think = "0";
  std::string bursts;
  std::string sweep;
  std::string slo;
  std::string engine = "auto";
  bool offload = false;
  std::vector<std::uint32_t> server_pids;
  std::vector<std::uint32_t> server_loops;
  std::string slice = "auto";
};

command_line::command_line()
    : app_(std::make_unique<CLI::App>(
          "Drives echo servers, checks every reply, and says whether the figures can be believed.\n"
          "Several TARGETs are driven in turn, in short slices, so that drift of the machine hits all alike.",
          "echo-load")),
      texts_(std::make_unique<texts>()) {
  CLI::App& app = *app_;
  options& o = result_;
  app.set_version_flag("--version", std::string(build_info::version));
  app.get_formatter()->column_width(34);
  app.footer(
      "Sizes and counts take k, M, G, Ki, Mi, Gi; times need ns, us, ms, s, m or h.\n"
      "Exit status: 0 measured; 1 could not run, not one verified reply from a target, or a result could "
      "not\n"
      "be written; 2 usage; 3 measured but not valid, with --strict; 4 wrong replies.");

  app.add_option("TARGET", texts_->targets, "Server to drive, NAME labels it in results; repeats")
      ->type_name("[NAME=]HOST:PORT")
      ->required();
  cli::add_count(app, "-c,--connections", o.load.connections, "Connections to each target", 1, 1'000'000);
  cli::add_count(
      app, "--idle-connections", o.load.idle_connections,
      "Connections to each target in addition: opened with the others, they carry nothing and stay open", 0,
      1'000'000);
  cli::add_duration(app, "-d,--duration", o.duration, "Measured time, shared by the targets", 1ms);
  cli::add_count(app, "-t,--threads", o.threads, "Client threads; connections are divided over them", 1,
                 1024);
  cli::add_count(
      app, "-R,--rate", o.rate,
      "Open loop: requests per second to each target, whatever the replies; without it a closed loop", 1,
      1'000'000'000)
      ->default_str("closed loop");
  app.add_option("--sweep", texts_->sweep,
                 "Open loop at several rates in random order, each for --duration / rates / TARGETs but 1s "
                 "or --slice at least: "
                 "per cent of what the target answers in a closed loop, and how many rates")
      ->type_name("LOW%..HIGH%[/N]")
      ->default_str("none");
  app.add_option("--slo", texts_->slo,
                 "Look for the highest rate at which PERCENT of the requests are answered within TIME, "
                 "by trials of 1s "
                 "or --slice at least; several must all hold")
      ->type_name("pPERCENT=TIME,...")
      ->default_str("none");
  cli::add_choice<arrivals>(app, "--arrivals", o.load.pace.arrival,
                            {{"uniform", arrivals::uniform}, {"poisson", arrivals::poisson}},
                            "Open loop: spacing of the requests");
  cli::add_duration(app, "--warmup", o.warmup, "Time that each target is driven before the measurement");
  app.add_option("--payload", texts_->payload,
                 "Bytes of payload in a request: one size, evenly between two, or several by weight, as in "
                 "mix:64@90,4k@10")
      ->type_name("SIZE|uniform:SIZE-SIZE|mix:SIZE@WEIGHT,...")
      ->default_str("64");
  cli::add_count(app, "--pipeline", o.load.pipeline,
                 "Requests outstanding on a connection, at most; with --rate several that are due go out "
                 "without waiting for replies",
                 1, 4096)
      ->default_str("1; stream: what makes 256Ki");
  app.add_option("--think", texts_->think,
                 "Closed loop: time between a reply and the connection's next request, or the mean of an "
                 "exponentially distributed one")
      ->type_name("TIME|exp:TIME")
      ->default_str("0");
  app.add_option("--bursts", texts_->bursts,
                 "Make requests in the first part of every ON + OFF only; --rate is the mean over both")
      ->type_name("ON/OFF")
      ->default_str("none");
  cli::add_count(app, "--slow-readers", o.load.slow_readers,
                 "Connections to each target in addition: they send as much as is taken and read slowly; "
                 "their replies are checked and not counted",
                 0, 1'000'000);
  cli::add_count(app, "--slow-read-rate", o.load.slow_read_rate, "Bytes per second that each of them reads",
                 1, 1'000'000'000);
  app.add_option(
         "--op", texts_->op,
         "What the server does with a request, or several by weight, as in mix:echo@99,work:10ms@1, each "
         "with its own latencies in the result; work, sleep and mix need framing frame, upper with line or "
         "raw a server "
         "started with --service upper")
      ->type_name("echo|upper|work:TIME|sleep:TIME|mix:OP@WEIGHT,...")
      ->default_str("echo");
  app.add_flag("--offload", texts_->offload, "Ask for work to be done on another thread of the server");
  cli::add_choice<framing>(app, "--framing", o.load.messages.frames,
                           {{"frame", framing::frame}, {"line", framing::line}, {"raw", framing::raw}},
                           "How the bytes of a connection are divided into messages");
  cli::add_choice<workload>(
      app, "--workload", o.load.pattern,
      {{"rr", workload::rr}, {"crr", workload::crr}, {"stream", workload::stream}},
      "rr keeps connections; crr opens one per request, counts connecting as part of the response and closes "
      "by reset (SO_LINGER 0, no TIME_WAIT); stream keeps them full, for the bytes that go each way");
  cli::add_count(app, "--connect-rate", o.load.connect_rate,
                 "Connections opened per second before the warm-up", 1, 10'000'000)
      ->default_str("unlimited");
  cli::add_duration(app, "--timeout", o.load.timeout,
                    "Longest wait for a connection, or for a reply once sent", 1ms, 1h);
  cli::add_duration(
      app, "--wait", o.wait,
      "How long to wait for each target to accept a connection, for a server that starts later; 0: "
      "do not wait",
      0ns, 24h);
  app.add_flag(
      "--busy-poll", o.load.busy_poll,
      "Never sleep while a target is driven: a client that sleeps is woken by the server's sends, at "
      "the server's expense; needs a CPU for each client thread");
  cli::add_duration(
      app, "--ceiling", o.ceiling,
      "Before anything else drive a null server for so long, on the CPUs of the first target's, and say "
      "how near the figures are to what this client can do at all; 0: do not",
      0ns, 1h);
  app.add_flag("--accuracy", o.load.accuracy,
               "Take the kernel's timestamps, too, and say how much of a latency is the client's, and how "
               "much wire and "
               "server; costs the client more; needs --engine epoll or auto, --workload rr and --pipeline 1");
  cli::add_cpus(app, "--cpus", o.cpus, "CPUs to run on, for example 0,2-3")->default_str("as inherited");
  app.add_option(
         "--engine", texts_->engine,
         "How the client does its I/O; auto takes io-uring where it can be used, and the result says why "
         "not")
      ->type_name("epoll|io-uring|auto")
      ->check([](const std::string& text) {
        return text == "epoll" || text == "io-uring" || text == "auto"
                   ? ""
                   : "'" + text + "' is none of epoll|io-uring|auto";
      })
      ->default_str("auto");
  app.add_option(
         "--slice", texts_->slice,
         "Length of a target's slice, or with one TARGET of an accounting window; auto: 20 ms or 20 times "
         "the time of one cycle through all requests in flight, whichever is longer; with --rate and several "
         "TARGETs 1 s at "
         "least, so that queues can build; from 100ms on is allowed there for the cost of a request")
      ->type_name("auto|TIME")
      ->default_str("auto");
  cli::add_count(app, "--rounds", o.rounds,
                 "Measure at least N rounds of slices (one TARGET: windows), however long that takes, and "
                 "at least for --duration; a --slice that is too short for the servers is lengthened then",
                 1, 100'000)
      ->default_str("as many as fit in --duration");
  cli::add_count(app, "--seed", o.seed, "Of payloads, of the order of slices and of --arrivals poisson");
  app.add_option(
         "--server-pid", texts_->server_pids,
         "Process id of a target's server, to read its CPU and memory; repeats, in the order of the TARGETs")
      ->type_name("PID")
      ->allow_extra_args(false)
      ->default_str("none");
  app.add_option("--server-loops", texts_->server_loops,
                 "Loops of a target's server that accept for themselves (SO_REUSEPORT), among whose "
                 "connections it must be "
                 "fair; repeats, in the order of the TARGETs")
      ->type_name("N")
      ->allow_extra_args(false)
      ->check(CLI::Range(1, 4096))
      ->default_str("1");
  app.add_option("--json", o.json_file, "Write the result to this file")
      ->type_name("FILE")
      ->default_str("none");
  app.add_option(
         "--hdr", o.hdr_file,
         "Write a histogram for each interval to this file as an HdrHistogram log (V2 encoding, nanoseconds)")
      ->type_name("FILE")
      ->default_str("none");
  app.add_option(
         "--intervals", o.interval_file,
         "Write rate, latency, send delay and errors of each interval to this file when it ends, a line of "
         "JSON each")
      ->type_name("FILE")
      ->default_str("none");
  cli::add_duration(app, "--interval", o.interval,
                    "Length of those intervals, and between two lines on a terminal", 100ms, 1h);
  app.add_flag("--strict", o.strict, "Exit with status 3 when a target's verdict is not 'valid'");
}

command_line::~command_line() = default;

options command_line::parse(int argc, const char* const* argv) {
  app_->parse(argc, argv);
  options& o = result_;
  load_spec& load = o.load;
  try {
    load.messages.operations = parse_operations(texts_->op);
    load.messages.payloads = parse_payloads(texts_->payload);
    if (!texts_->sweep.empty()) o.sweep = parse_sweep(texts_->sweep);
    if (!texts_->slo.empty()) o.objectives = parse_objectives(texts_->slo);
  } catch (const std::invalid_argument& error) {
    refuse(error.what());
  }
  if (texts_->offload && !load.messages.has(frame_op::work)) refuse("--offload needs --op work:TIME");
  for (auto& weighted : load.messages.operations) {
    weighted.op.offload = texts_->offload && weighted.op.kind == frame_op::work;
  }
  load.pace.think = parse_think(texts_->think);
  if (!texts_->bursts.empty()) load.pace.on_off = parse_bursts(texts_->bursts);
  load.messages.seed = load.pace.seed = o.seed;
  if (load.pattern == workload::stream && app_->count("--pipeline") == 0) {
    const double size = load.messages.mean_payload() + frame_header_size;
    load.pipeline = static_cast<std::size_t>(std::clamp(stream_window / size, 2.0, 4096.0));
  }
  if (texts_->engine != "auto") o.io = texts_->engine == "epoll" ? engine::epoll : engine::io_uring;
  for (const auto& text : texts_->targets) o.targets.push_back(parse_target(text));
  if (texts_->slice != "auto") {
    o.slice = parse_duration(texts_->slice);
    if (!o.slice || *o.slice < 1ms)
      refuse("--slice: '" + texts_->slice + "' is neither auto nor a time from 1ms on");
  }
  const auto require_one_for_each = [&](const std::string& name, std::size_t given) {
    if (given == 0 || given == o.targets.size()) return;
    refuse(name + " was given " + std::to_string(given) + " time(s) for " + std::to_string(o.targets.size()) +
           " TARGET(s): give one for each, in their order");
  };
  require_one_for_each("--server-pid", texts_->server_pids.size());
  require_one_for_each("--server-loops", texts_->server_loops.size());
  for (std::size_t i = 0; i < texts_->server_pids.size(); ++i) {
    o.targets[i].server_pid = static_cast<pid_t>(texts_->server_pids[i]);
  }
  for (std::size_t i = 0; i < texts_->server_loops.size(); ++i) {
    o.targets[i].server_loops = texts_->server_loops[i];
  }
  check(o);
  return o;
}

std::variant<options, int> parse_options(int argc, const char* const* argv) {
  command_line line;
  try {
    return line.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli::report(line.app(), error);
  }
}

}  // namespace echobench
