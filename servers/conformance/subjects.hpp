// For tests: the servers that are tested. Ours are the variants that the programs list.
#pragma once

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace echobench::testing {

using arguments = std::vector<std::string>;

struct subject {
  std::string name;
  std::string framing;
  std::string holds;               // clients at once: one, threads or any
  std::string unavailable_reason;  // printed if the server is unavailable
  arguments command;               // starts the server at a free port
  bool ours = true;                // it has echo-server's options, and counts errors
  arguments needs = {};            // a command that must succeed, otherwise the server is unavailable

  friend std::ostream& operator<<(std::ostream& out, const subject& s) {
    return out << s.name << " " << s.framing;
  }
};

// Every variant in each of these framings.
std::vector<subject> variants(const std::vector<std::string>& framings);
// The servers in other runtimes, each in its framing; none under sanitizers, which do not see into them.
std::vector<subject> other_runtimes();
// Why the server cannot be started here; empty if it can.
std::string why_unavailable(const subject& server);
// The variants that cannot run here.
std::vector<subject> unavailable_variants();

}  // namespace echobench::testing
