// From the names of targets to the addresses that are driven.
#pragma once

#include "loadgen/plan/options.hpp"
#include "loadgen/plan/target.hpp"

#include <vector>

namespace echobench {

// One for each TARGET. The only address of a name is taken as it is. Of several the first is taken that
// accepts a connection, which is closed again; when none does, the first of all, so that the run reports what
// happens to its connections. With --wait a connection is always tried, again and again until one is accepted
// or the time has passed; then it throws std::runtime_error.
//
// To be called before the stop signals are blocked: it may take as long as --wait, and Ctrl-C ends it.
//
// Throws std::invalid_argument that names a TARGET which is not HOST:PORT, std::system_error that names a
// host without an address.
std::vector<reached_target> reach_targets(const options& asked);

}  // namespace echobench
