// Addresses to connect from.
#pragma once

#include "common/socket.hpp"

#include <cstddef>
#include <vector>

namespace echobench {

// Source addresses 127.0.1.0, 127.0.1.1, ... when one alone has too few ports for so many connections to a
// target in 127/8; else none: the system chooses. Each has a port range of its own (ip_local_port_range),
// because start_connect() binds with IP_BIND_ADDRESS_NO_PORT.
std::vector<endpoint> source_addresses(const endpoint& target, std::size_t connections);

}  // namespace echobench
