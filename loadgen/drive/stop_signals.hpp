// SIGHUP, SIGINT and SIGTERM as something to wait for.
#pragma once

#include "common/socket.hpp"

#include <chrono>

namespace echobench {

// Readable when the user wants the run to end. Blocks these signals in this thread, and so in those that it
// starts, for good. Throws std::system_error.
unique_fd open_stop_signals();

// Sleeps until then; false when the user wants the run to end.
bool sleep_until(std::chrono::steady_clock::time_point then, const unique_fd& stop);

}  // namespace echobench
