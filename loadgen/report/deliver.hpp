// Everything that is reported of a measurement, wherever it is to be reported.
#pragma once

#include "common/process.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

#include <span>
#include <string>

namespace echobench {

// Before a run rather than after it: throws std::system_error that names a file which could not be written,
// and std::invalid_argument when two options, or an option and a redirection, name the same file.
void require_writable_files(const options& asked);

// Prints the summary on stdout, then writes the files; stderr says what is wrong. What cannot be written is
// named there, the rest is delivered, and the status is exit_failed, or exit_wrong_replies where replies were
// wrong. Returns the exit status.
exit_status deliver(const measurement& measured, const options& asked, std::span<const std::string> argv);

}  // namespace echobench
