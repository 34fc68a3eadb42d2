// The command line of echo-load.
#pragma once

#include "common/cpu.hpp"
#include "loadgen/plan/schedule.hpp"
#include "loadgen/plan/target.hpp"
#include "loadgen/session/message_plan.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace CLI {
class App;
}

namespace echobench {

enum class workload : std::uint8_t {
  rr,   // request and reply over a kept connection
  crr,  // connect, request, reply, close
};

struct options {
  std::vector<target> targets;
  std::size_t connections = 100;     // per target
  std::size_t idle_connections = 0;  // per target, beside those that carry requests
  std::chrono::nanoseconds duration = std::chrono::seconds(10);
  std::size_t threads = 1;
  std::uint64_t rate = 0;  // requests per second and target; 0: closed loop
  arrivals arrival = arrivals::uniform;
  std::chrono::nanoseconds warmup = std::chrono::seconds(1);
  std::size_t payload = 64;  // bytes
  std::size_t pipeline = 1;
  operation op;
  framing frames = framing::frame;
  workload pattern = workload::rr;
  std::uint64_t connect_rate = 0;  // connections per second; 0: as fast as they are accepted
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);
  cpu_list cpus;                                  // empty: wherever the system lets it run
  std::optional<std::chrono::nanoseconds> slice;  // empty: auto
  std::size_t rounds = 0;                         // at least, whatever the duration; 0: what fits in it
  std::uint64_t seed = 1;
  std::string json_file;  // empty: none
  std::string hdr_file;   // empty: none
  bool strict = false;
  bool busy_poll = false;

  bool open_loop() const noexcept { return rate != 0; }
  std::size_t all_connections() const noexcept { return connections + idle_connections; }  // per target
};

// Either what to do, or the exit status of a command line that asked for help or was wrong; what there was to
// say has been printed.
std::variant<options, int> parse_options(int argc, const char* const* argv);

// The parts of parse_options, for tests of the help text.
class command_line {
public:
  command_line();
  ~command_line();
  CLI::App& app() noexcept { return *app_; }

  // Throws CLI::ParseError.
  options parse(int argc, const char* const* argv);

private:
  struct texts;  // options that are not one value each
  std::unique_ptr<CLI::App> app_;
  std::unique_ptr<texts> texts_;
  options result_;
};

}  // namespace echobench
