// For tests: the servers that are tested. Those of ours are the variants that the programs list.
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
  std::string unavailable_reason;  // told when it is
  arguments command;               // which starts it, at a free port
  bool ours = true;                // it has echo-server's options, and counts errors
  arguments needs = {};            // a command that must succeed, else it is unavailable

  friend std::ostream& operator<<(std::ostream& out, const subject& s) {
    return out << s.name << " " << s.framing;
  }
};

// Every variant in each of these framings.
std::vector<subject> variants(const std::vector<std::string>& framings);
// The servers in other runtimes, each in its own framing; none under sanitizers, which do not see them.
std::vector<subject> other_runtimes();
// Why it cannot be started here; empty if it can.
std::string why_unavailable(const subject& who);
// The variants that cannot run here.
std::vector<subject> unavailable_variants();

}  // namespace echobench::testing
