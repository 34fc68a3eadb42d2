// A measurement for people.
#pragma once

#include "loadgen/record/measurement.hpp"

#include <string>

namespace echobench {

// A table, a line or more for each target, then what there is to say about each.
std::string summary(const measurement& measured, const options& asked);

// Why a target gave not one verified reply, and what to do: one line naming it.
std::string explain_silence(const cell& of, const options& asked, bool interrupted);

// By the rules of the command's contract: 4 wrong replies, 1 a target without a verified reply, 3 not valid.
int exit_status_of(const measurement& measured, const options& asked) noexcept;

}  // namespace echobench
