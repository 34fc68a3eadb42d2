// A whole run: find the targets, connect, warm up, measure, judge.
#pragma once

#include "loadgen/drive/backend.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

#include <cstddef>
#include <vector>

namespace echobench {

// Once the targets are found it blocks SIGHUP, SIGINT and SIGTERM in this thread for good: one of them ends
// the run early with what is measured so far. Shows progress on stderr when that is a terminal. Throws
// std::invalid_argument when an option does not fit what was found (CPUs, target, server, slice),
// std::system_error or std::runtime_error when the run cannot be done.
measurement run(const options& asked);

// The same of targets that are found already, by a backend of several processes; --cpus and --ceiling are
// left out.
measurement run_with(const options& asked, std::vector<reached_target> reached,
                     const backend_maker& make_backend, std::size_t processes);

// Keeps this process on --cpus. Throws std::invalid_argument that names those that it may not use.
void take_cpus(const options& asked);

}  // namespace echobench
