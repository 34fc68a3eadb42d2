// From what was asked for to what can be done here.
#pragma once

#include "loadgen/plan/engine.hpp"
#include "loadgen/plan/options.hpp"

namespace echobench {

// --engine auto takes io_uring where there is one. Throws std::invalid_argument where the one that was asked
// for is not there.
engine_choice choose_engine(const options& asked);

// With its targets looked up, for that engine. Throws std::invalid_argument that names a TARGET.
load_spec resolved_load(const options& asked, engine io);

}  // namespace echobench
