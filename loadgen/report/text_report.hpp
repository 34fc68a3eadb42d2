// A measurement for people.
#pragma once

#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

#include <string>

namespace echobench {

// A table with a line or more for each target, then details of each.
std::string summary(const measurement& measured, const options& asked);

// One line for a terminal; `so_far`: since the run began.
std::string interval_text(const interval& seen, const cell& of, std::chrono::nanoseconds so_far);

// Why a target gave not one verified reply, and what to do: one line naming it.
std::string explain_silence(const cell& of, const options& asked, bool interrupted);

}  // namespace echobench
