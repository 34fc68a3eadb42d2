// What a program agrees with the system and the shell that started it: exit status, limits, signals.
#pragma once

#include <csignal>
#include <cstdint>

namespace echobench {

// The exit statuses of every echobench program; 3 and 4 are echo-load's.
enum exit_status : int {
  exit_ok = 0,
  exit_failed = 1,         // could not run; one line on stderr says what was attempted, on what, and why
  exit_usage = 2,          // the command line is wrong
  exit_not_valid = 3,      // measured, but not valid, with --strict
  exit_wrong_replies = 4,  // a reply was wrong
  exit_unavailable = 77,   // cannot work on this system; the reason is on stderr
};

// Raises RLIMIT_NOFILE's soft limit to the hard one and returns it.
std::uint64_t raise_descriptor_limit() noexcept;

// Blocks SIGINT and SIGTERM in this thread and those it starts later, and ignores SIGPIPE; returns the
// blocked set, for sigwait(3) or signalfd(2).
sigset_t block_stop_signals() noexcept;

}  // namespace echobench
