// The addresses of this host.
#pragma once

#include "common/socket.hpp"

#include <vector>

namespace echobench {

// Of interfaces that are up, those of the loopback interface first, each with port 0. Link-local ones are
// left out: they belong to one link. Empty when they cannot be read (getifaddrs(3)).
std::vector<endpoint> host_addresses();

// Whether a connection to `address` ends on this host: one of `host`, or any of 127/8.
bool is_of_this_host(const endpoint& address, const std::vector<endpoint>& host);

}  // namespace echobench
