// The command line of echo-load.
#pragma once

#include "common/cpu.hpp"
#include "loadgen/plan/load_spec.hpp"
#include "loadgen/plan/rate_spec.hpp"
#include "loadgen/plan/target.hpp"

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

struct options {
  std::vector<target> targets;
  load_spec load;            // its targets are empty, its engine is not chosen yet
  std::optional<engine> io;  // empty: auto
  std::uint64_t rate = 0;    // requests per second and target; 0: closed loop, or a sweep or objectives
  std::optional<rate_sweep> sweep;            // the open loop at rates in turn
  std::vector<latency_objective> objectives;  // not empty: the highest rate that holds them is looked for
  std::chrono::nanoseconds duration = std::chrono::seconds(10);
  std::chrono::nanoseconds warmup = std::chrono::seconds(1);
  std::chrono::nanoseconds wait{0};     // for the targets to accept a connection; 0: not at all
  std::chrono::nanoseconds ceiling{0};  // how long the client's own is measured; 0: it is not
  std::size_t threads = 1;
  cpu_list cpus;                                  // empty: wherever the system lets it run
  std::optional<std::chrono::nanoseconds> slice;  // empty: auto
  std::size_t rounds = 0;                         // at least, whatever the duration; 0: what fits in it
  std::uint64_t seed = 1;
  std::string json_file;      // empty: none
  std::string hdr_file;       // empty: none
  std::string interval_file;  // empty: none
  std::chrono::nanoseconds interval = std::chrono::seconds(1);
  bool strict = false;

  bool seeks_rates() const noexcept { return sweep || !objectives.empty(); }
  bool open_loop() const noexcept { return rate != 0 || seeks_rates(); }
  std::size_t all_connections() const noexcept {  // per target
    return load.connections + load.idle_connections + load.slow_readers;
  }
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
