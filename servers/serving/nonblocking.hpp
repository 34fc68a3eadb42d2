// The steps of a connection on a non-blocking socket.
#pragma once

#include "servers/session/connection_state.hpp"

namespace echobench {

// recv(2), once, when to receive is the next step. Nothing happens when nothing is there.
void receive_available(connection_state& state, int fd);

// Takes every step that needs neither input nor waiting: sends, ends the sending side. What is next then is
// to receive, to send (the system's buffer is full), to sleep, to work, or to close.
void advance(connection_state& state, int fd);

// Bytes that the system has received and nobody has read (tcp(7), SIOCINQ).
std::size_t bytes_readable(int fd) noexcept;

}  // namespace echobench
