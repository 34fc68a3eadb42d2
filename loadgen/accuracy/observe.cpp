// echo-observe: compares the log of echo-scheduled-server with what was asked of echo-load, and reports when
// the requests really arrived.
#include "common/cli.hpp"
#include "common/process.hpp"
#include "loadgen/accuracy/arrival_log.hpp"
#include "loadgen/accuracy/observation.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace echobench {
namespace {

using nlohmann::json;

// Of a result of echo-load.
observed_load load_of(const json& result) {
  const json& config = result.at("config");
  const bool fits = result.at("cells").size() == 1 && config.at("loop") == "open" &&
                    config.at("framing") == "frame" && config.at("workload") == "rr" &&
                    config.at("warmup_ns") == 0;
  if (!fits) {
    throw std::invalid_argument(
        "only an open loop to one target without warm-up (--warmup 0), framing frame, can be observed");
  }
  observed_load load{.arrival = config.at("arrivals") == "poisson" ? arrivals::poisson : arrivals::uniform,
                     .rate = config.at("rate_per_s"),
                     .connections = config.at("connections"),
                     .seed = config.at("seed"),
                     .on_off = {}};
  if (config.contains("bursts")) {
    load.on_off = {.on = std::chrono::nanoseconds(config["bursts"].at("on_ns").get<std::int64_t>()),
                   .off = std::chrono::nanoseconds(config["bursts"].at("off_ns").get<std::int64_t>())};
  }
  return load;
}

json delays(const histogram& of) {
  json times{{"mean", of.mean().count()}, {"max", of.max().count()}};
  for (const auto& [name, percent] :
       {std::pair("p50", 50.0), {"p90", 90.0}, {"p99", 99.0}, {"p99.9", 99.9}}) {
    times[name] = of.percentile(percent).count();
  }
  return times;
}

json gaps(const observation& of) {
  return {{"coefficient_of_variation", of.arrived.coefficient_of_variation()},
          {"coefficient_of_variation_expected", of.due.coefficient_of_variation()},
          {"gaps_below_10us", of.arrived.share_below_short()},
          {"gaps_below_10us_expected", of.due.share_below_short()},
          {"tenths", of.tenths}};
}

template <class Read>
auto from_file(const std::string& file, Read read) {
  try {
    std::ifstream in(file);
    if (!in) throw std::invalid_argument("cannot be opened");
    return read(in);
  } catch (const std::exception& error) {
    throw std::runtime_error(file + ": " + error.what());
  }
}

int run(int argc, char** argv) {
  CLI::App app(
      "Prints as JSON when requests arrived, by the log of echo-scheduled-server, and when they were due, by "
      "the options in a result of echo-load: delay_ns from due to arrived, less the shortest; arrivals, the "
      "gaps "
      "between them",
      "echo-observe");
  std::string log_file;
  std::string result_file;
  app.add_option("LOG", log_file, "What echo-scheduled-server --log wrote")->required();
  app.add_option("RESULT", result_file, "What echo-load --json wrote")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli::report(app, error);
  }
  const auto log = from_file(log_file, [](std::istream& in) { return read_arrival_log(in); });
  const auto load = from_file(result_file, [](std::istream& in) { return load_of(json::parse(in)); });
  const observation seen = observe(log, load);
  const json report{{"requests", seen.requests},
                    {"stamps_shared", seen.shared},
                    {"stamps_absent", seen.absent},
                    {"delay_ns", delays(seen.delay)},
                    {"arrivals", gaps(seen)}};
  print_output(report.dump(2) + '\n');
  return exit_ok;
}

}  // namespace
}  // namespace echobench

int main(int argc, char** argv) try {
  echobench::open_standard_streams();
  return echobench::run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "echo-observe: %s\n", error.what());
  return echobench::exit_failed;
}
