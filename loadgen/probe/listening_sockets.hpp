// Who listens on an address of this host, from /proc (proc(5)).
#pragma once

#include "common/socket.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace echobench {

using inode = std::uint64_t;

// The listening sockets to which the kernel gives a connection to `target`: those bound to its address, else
// those bound to any address of IPv4 (0.0.0.0), else of IPv6 (::), which take connections of both families.
// Several where they share a port (SO_REUSEPORT). `tcp`, `tcp6`: the text of /proc/net/tcp and of
// /proc/net/tcp6.
std::set<inode> sockets_listening_on(const endpoint& target, const std::string& tcp, const std::string& tcp6);

// Those of this network namespace.
std::set<inode> sockets_listening_on(const endpoint& target);

// Which of `sockets` a process has open; empty: its files must not be read, or it has ended.
std::optional<std::set<inode>> sockets_of(pid_t pid, const std::set<inode>& sockets);

}  // namespace echobench
