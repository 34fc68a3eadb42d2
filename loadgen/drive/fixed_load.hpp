// A run at one load: one target without a break, several in turn.
#pragma once

#include "loadgen/drive/coordinator.hpp"

namespace echobench {

// One cell for each target. Throws std::invalid_argument when --slice or --duration does not fit the servers.
void measure_fixed_load(coordinator& run);

}  // namespace echobench
