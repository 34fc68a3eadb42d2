// Addresses to connect from.
#pragma once

#include "common/socket.hpp"

#include <cstddef>
#include <vector>

namespace echobench {

struct source_addresses {
  std::vector<endpoint> addresses;  // to be taken in turn; empty: the system chooses
  std::size_t reach = 0;            // how many connections to the target they can have at a time
};

// For `connections` to a target, where one address has `ports` to connect from. Each has a port range
// of its own, because start_connect() binds with IP_BIND_ADDRESS_NO_PORT. `host_addresses`: of this host; to
// a target that is one of them connections may come from any other.
//
// When one address alone has too few ports for the connections to a target on this host: 127.0.1.0,
// 127.0.1.1, ... for IPv4; the host's own addresses for IPv6, whose loopback network is a single address. To
// another host: none.
source_addresses plan_sources(const endpoint& target, std::size_t connections, std::size_t ports,
                              const std::vector<endpoint>& host_addresses);

}  // namespace echobench
