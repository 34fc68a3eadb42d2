// A whole run: connect, warm up, measure, judge.
#pragma once

#include "loadgen/drive/backend.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

namespace echobench {

// Blocks SIGINT and SIGTERM in this thread for good: one of them ends the run early with what is measured so
// far. Shows progress on stderr when that is a terminal. Throws std::invalid_argument when an option does not
// fit what was found (target, slice), std::system_error or std::runtime_error when the run cannot be done.
measurement run(const options& asked);

// The same by a backend of several processes; without the client's ceiling.
measurement run_with(const options& asked, const backend_maker& make_backend, std::size_t processes);

// Keeps this process on --cpus. Throws std::invalid_argument that names those that it may not use.
void take_cpus(const options& asked);

}  // namespace echobench
