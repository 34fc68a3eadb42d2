// The steps of a connection on a non-blocking socket.
#pragma once

#include "servers/session/connection_state.hpp"

namespace echobench {

// recv(2), once, if receiving is the next step. Does nothing if there is nothing to receive.
void receive_available(connection_state& state, int fd);

// Takes every step that needs neither input nor waiting: sends, shuts the sending side down. The next step is
// then to receive, to send (the system's buffer is full), to sleep, to work, or to close.
void advance(connection_state& state, int fd);

// Bytes that the system has received and nobody has read (tcp(7), SIOCINQ), those behind urgent data
// included. Not while anybody receives from the socket.
std::size_t bytes_readable(int fd) noexcept;

}  // namespace echobench
