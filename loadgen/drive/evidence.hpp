// From what a backend brings to what a verdict is made of.
#pragma once

#include "loadgen/drive/backend.hpp"
#include "loadgen/plan/load_spec.hpp"
#include "loadgen/record/measurement.hpp"
#include "loadgen/verdict/verdict.hpp"

#include <optional>

namespace echobench {

// Adds what a backend recorded to the cell, and how evenly its connections were served.
void take_in(cell& cell, target_outcome outcome, const load_spec& load);

evidence evidence_of(const cell& cell, const load_spec& load, const std::optional<client_ceiling>& ceiling);

}  // namespace echobench
