#include "loadgen/probe/local_ports.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace echobench {
namespace {

// Of a list as in `8080,9000-9010`, how many lie in the range.
std::size_t count_within(const std::string& list, std::uint32_t first, std::uint32_t last) {
  std::size_t count = 0;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    std::istringstream range(part);
    std::uint32_t low = 0;
    std::uint32_t high = 0;
    char dash = 0;
    if (!(range >> low)) continue;
    if (!(range >> dash >> high)) high = low;
    low = std::max(low, first);
    high = std::min(high, last);
    if (low <= high) count += high - low + 1;
  }
  return count;
}

}  // namespace

local_ports read_local_ports(const std::string& proc) {
  local_ports ports;
  std::ifstream range(proc + "/sys/net/ipv4/ip_local_port_range");
  std::uint32_t first = 0;
  std::uint32_t last = 0;
  if (range >> first >> last && first <= last) {
    ports.first = first;
    ports.last = last;
  }
  std::ifstream file(proc + "/sys/net/ipv4/ip_local_reserved_ports");
  std::string reserved;
  std::getline(file, reserved);
  ports.reserved = count_within(reserved, ports.first, ports.last);
  return ports;
}

std::string describe(const local_ports& ports) {
  std::string text = std::to_string(ports.count()) + " local ports (net.ipv4.ip_local_port_range is " +
                     std::to_string(ports.first) + " to " + std::to_string(ports.last);
  if (ports.reserved > 0) {
    text += ", " + std::to_string(ports.reserved) + " of them in net.ipv4.ip_local_reserved_ports";
  }
  return text + ")";
}

std::string out_of_ports(const local_ports& ports) {
  return "no local port was free: one address has " + describe(ports) +
         " for one target, and connections that are open, or were closed within the last 60 s (TIME_WAIT, ss "
         "-tan), hold the others: lower --connections or widen that range";
}

}  // namespace echobench
