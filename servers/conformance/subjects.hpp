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
  std::string unavailable_reason;  // empty: it can be started here
  arguments command;               // which starts it, at a free port
  bool ours = true;                // it has echo-server's options, and counts errors

  friend std::ostream& operator<<(std::ostream& out, const subject& s) {
    return out << s.name << " " << s.framing;
  }
};

// Every variant in each of these framings.
std::vector<subject> variants(const std::vector<std::string>& framings);
// Those that cannot run here.
std::vector<subject> unavailable_variants();

}  // namespace echobench::testing
