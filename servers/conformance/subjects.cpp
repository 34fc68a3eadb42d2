#include "servers/conformance/subjects.hpp"

#include "servers/conformance/server_process.hpp"

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

}  // namespace

std::vector<subject> variants(const std::vector<std::string>& framings) {
  std::vector<subject> all;
  for (const program& each : programs()) {
    for (const auto& row : each.variants) {
      for (const std::string& framing : framings) {
        const std::string name = row.at("name");
        all.push_back({.name = name,
                       .framing = framing,
                       .holds = row.at("holds"),
                       .unavailable_reason = row.at("unavailable_reason"),
                       .command = {each.path, "--variant", name, "--framing", framing}});
      }
    }
  }
  return all;
}

std::vector<subject> unavailable_variants() {
  std::vector<subject> all = variants({"frame"});
  std::erase_if(all, [](const subject& s) { return s.unavailable_reason.empty(); });
  return all;
}

}  // namespace echobench::testing
