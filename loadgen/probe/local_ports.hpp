// The ports from which this host connects: they limit how many connections one address can have to a target.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace echobench {

// Of the network namespace. Sources: net.ipv4.ip_local_port_range, net.ipv4.ip_local_reserved_ports, which
// are for IPv6, too.
struct local_ports {
  std::uint32_t first = 32'768;
  std::uint32_t last = 60'999;  // included
  std::size_t reserved = 0;     // of them: connect(2) does not take those

  std::size_t count() const noexcept { return last - first + 1 - reserved; }

  friend bool operator==(const local_ports&, const local_ports&) = default;
};

// `proc`: where /proc is. What cannot be read is as the kernel has it by default.
local_ports read_local_ports(const std::string& proc = "/proc");

// `28232 local ports (net.ipv4.ip_local_port_range is 32768 to 60999)`
std::string describe(const local_ports& ports);

// Why there is none left, and what to do.
std::string out_of_ports(const local_ports& ports);

}  // namespace echobench
