// Steps between a socket and its session, which every model takes that makes the system calls itself.
#pragma once

#include "servers/session/echo_session.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>

namespace echobench {

// recv(2), once, into the session, which is told what came or that the peer has ended. Returns what recv
// returned, errno with it; -1 with EAGAIN when the session does not want input.
ssize_t receive_into(echo_session& session, int fd);

// Nothing was there or the call was interrupted: no error of the connection.
bool may_try_again(int error) noexcept;

// Bytes that the system has received and nobody has read (tcp(7), SIOCINQ).
std::size_t bytes_readable(int fd) noexcept;

// A connection that has sent everything is shut down for sending, and input is discarded until its end or
// this long, so that the last reply is not lost to a reset (which close(2) sends when unread input is left).
inline constexpr std::chrono::seconds linger_time{1};

// A server may use this much memory for discarding; every thread has one of its own.
inline constexpr std::size_t discard_size = std::size_t{16} * 1024;

// Reads and forgets what has arrived, a bounded amount. `more` when the peer may still send.
enum class discarded { more, end };
discarded discard_input(int fd) noexcept;

}  // namespace echobench
