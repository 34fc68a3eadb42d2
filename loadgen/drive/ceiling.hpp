// What this client can do at most, here and with this load.
#pragma once

#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

namespace echobench {

// Drives a null server in a closed loop for asked.ceiling, on the CPUs that the first target's server may
// use, with the connections and sizes that were asked for; operations are echo. Before this process has
// threads. Throws as coordinator does.
client_ceiling measure_ceiling(const options& asked);

}  // namespace echobench
