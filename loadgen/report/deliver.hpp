// Everything that is said of a measurement, wherever it is to be said.
#pragma once

#include "common/process.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/record/measurement.hpp"

#include <span>
#include <string>

namespace echobench {

// Throws std::system_error that names a file which could not be written: before a run rather than after it.
void require_writable_files(const options& asked);

// Writes the files, prints the summary on stdout and what is wrong on stderr; returns the exit status.
exit_status deliver(const measurement& measured, const options& asked, std::span<const std::string> argv);

}  // namespace echobench
