// What a program agrees with the system and the shell that started it: exit status, limits, signals, standard
// streams.
#pragma once

#include <sys/types.h>

#include <csignal>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace echobench {

// The exit statuses of every echobench program; 3 and 4 are echo-load's.
enum exit_status : int {
  exit_ok = 0,
  exit_failed = 1,         // could not run or report; a line on stderr says what was attempted, and why not
  exit_usage = 2,          // the command line is wrong
  exit_not_valid = 3,      // measured, but not valid, with --strict
  exit_wrong_replies = 4,  // a reply was wrong
  exit_unavailable = 77,   // cannot work on this system; the reason is on stderr
};

// Raises RLIMIT_NOFILE's soft limit to the hard one and returns it.
std::uint64_t raise_descriptor_limit() noexcept;

// Blocks SIGHUP (unless it is ignored, nohup(1)), SIGINT and SIGTERM in this thread and those it starts
// later, and ignores SIGPIPE and SIGXFSZ, so that a write fails instead; returns the blocked set, for
// sigwait(3) or signalfd(2).
sigset_t block_stop_signals() noexcept;

// Drops those that have come and are blocked: what they were to stop has ended.
void forget_stop_signals() noexcept;

// While it lives they end the process, as they do by default: for a call of this thread that may wait for
// ever.
class stop_signals_allowed {
public:
  stop_signals_allowed() noexcept;
  stop_signals_allowed(const stop_signals_allowed&) = delete;
  stop_signals_allowed& operator=(const stop_signals_allowed&) = delete;
  ~stop_signals_allowed();

private:
  sigset_t before_;
};

// fork(2), by a process that has one thread; the child is killed when its parent ends, however that happens.
// Throws std::system_error, which says that `what` could not be started.
pid_t fork_bound_to_parent(std::string_view what);

// To be called first in every program: opens /dev/null in place of each standard stream that is closed
// (`<&-`), since the next socket or file would take its number and be written to in its place. Standard input
// is then empty, and what goes to standard error is discarded. Throws std::runtime_error when standard output
// was closed: every program has something to print.
void open_standard_streams();

// Writes the text, waiting where the descriptor is non-blocking, and takes from it what was written: nothing
// is left unless an error is returned.
std::error_code write_all(int fd, std::string_view& text) noexcept;

// Writes to standard output, past the buffer of stdio. Throws std::system_error when that cannot be done,
// also when its reader has gone: what it has not read is lost.
void print_output(std::string_view text);

}  // namespace echobench
