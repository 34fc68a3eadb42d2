#include "servers/conformance/subjects.hpp"

#include "common/cpu.hpp"
#include "servers/conformance/server_process.hpp"

#include <fstream>
#include <map>
#include <utility>

namespace echobench::testing {
namespace {

struct program {
  std::string path;
  nlohmann::json variants;
};

const std::vector<program>& programs() {
  static const std::vector<program> all = [] {
    std::vector<program> listed;
    for (const char* path : {
             ECHO_SERVER_PATH,
#ifdef ECHO_SERVER_URING_PATH
             ECHO_SERVER_URING_PATH,
#endif
         }) {
      server_process lister({path, "--list=json"});
      lister.wait();
      listed.push_back({path, lister.listening()});
    }
    return listed;
  }();
  return all;
}

#ifdef ECHOBENCH_BUILD
// An experiment's command line, for this build.
arguments filled_in(const nlohmann::json& command, const std::string& framing) {
  const std::pair<std::string, std::string> known[] = {{"build/release/", ECHOBENCH_BUILD "/"},
                                                       {"{port}", "0"},
                                                       {"{threads}", "1"},
                                                       {"{cpus}", format_cpu_list(allowed_cpus())},
                                                       {"{framing}", framing}};
  arguments all = command;
  for (std::string& part : all) {
    for (const auto& [name, value] : known) {
      if (const auto at = part.find(name); at != std::string::npos) part.replace(at, name.size(), value);
    }
  }
  return all;
}
#endif

}  // namespace

std::vector<subject> variants(const std::vector<std::string>& framings) {
  std::vector<subject> all;
  for (const program& server : programs()) {
    for (const auto& row : server.variants) {
      for (const std::string& framing : framings) {
        const std::string name = row.at("name");
        all.push_back({.name = name,
                       .framing = framing,
                       .holds = row.at("holds"),
                       .unavailable_reason = row.at("unavailable_reason"),
                       .command = {server.path, "--variant", name, "--framing", framing}});
      }
    }
  }
  return all;
}

std::vector<subject> other_runtimes() {
  std::vector<subject> all;
#ifdef ECHOBENCH_BUILD
  const auto rows =
      nlohmann::json::parse(std::ifstream(ECHOBENCH_ROOT "/servers/other_runtimes/other_runtimes.json"));
  for (const auto& row : rows) {
    const std::string framing = row.at("framing");
    const auto& needs = row.at("needs");
    all.push_back({.name = row.at("name"),
                   .framing = framing,
                   .holds = row.at("holds"),
                   .unavailable_reason = needs.at("reason"),
                   .command = filled_in(row.at("command"), framing),
                   .ours = false,
                   .needs = filled_in(needs.at("command"), framing)});
  }
#endif
  return all;
}

std::string why_unavailable(const subject& server) {
  static std::map<arguments, bool> met;  // by command, which runs once
  if (server.needs.empty()) return server.unavailable_reason;
  if (!met.contains(server.needs)) met[server.needs] = server_process(server.needs).wait().status == 0;
  return met[server.needs] ? "" : server.unavailable_reason;
}

std::vector<subject> unavailable_variants() {
  std::vector<subject> all = variants({"frame"});
  std::erase_if(all, [](const subject& s) { return s.unavailable_reason.empty(); });
  return all;
}

}  // namespace echobench::testing
