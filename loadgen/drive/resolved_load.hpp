// From what was asked for to what can be done here.
#pragma once

#include "common/socket.hpp"
#include "loadgen/plan/engine.hpp"
#include "loadgen/plan/options.hpp"

#include <cstddef>
#include <vector>

namespace echobench {

// --engine auto takes io_uring where there is one. Throws std::invalid_argument where the one that was asked
// for is not there.
engine_choice choose_engine(const options& asked);

// For that engine, with the addresses of the targets and those to connect from. `processes`: over which the
// connections are divided. Throws std::invalid_argument that names --connections where this host has too few
// ports for them.
load_spec resolved_load(const options& asked, engine io, const std::vector<endpoint>& targets,
                        std::size_t processes = 1);

}  // namespace echobench
