// What echo-load's exit status says of a measurement; exit_usage and the other exit_failed are main's and
// deliver()'s.
//
//   0  measured
//   1  could not run, not one verified reply from a target, or a result could not be written
//   2  the command line is wrong
//   3  measured, but a verdict is not `valid`: with --strict only
//   4  a wrong reply: outranks all others
#pragma once

#include "common/process.hpp"
#include "loadgen/record/measurement.hpp"

namespace echobench {

exit_status exit_status_of(const measurement& measured, bool strict) noexcept;

}  // namespace echobench
