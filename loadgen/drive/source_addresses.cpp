#include "loadgen/drive/source_addresses.hpp"

#include "loadgen/probe/host_addresses.hpp"

#include <netinet/in.h>

#include <algorithm>
#include <cstdint>

namespace echobench {
namespace {

constexpr std::size_t loopback_sources = 0xffff;  // from 127.0.1.0 on

// Where there are more addresses, an eighth of the ports of each is left for what else connects here, and
// because the kernel looks through all of them for the last free ones.
std::size_t comfortable(std::size_t ports) { return std::max<std::size_t>(ports - ports / 8, 1); }

endpoint loopback_source(std::size_t number) {
  endpoint source;
  auto& address = *reinterpret_cast<sockaddr_in*>(source.address());
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(static_cast<std::uint32_t>(0x7f00'0100 + number));
  return source;
}

}  // namespace

source_addresses plan_sources(const endpoint& target, std::size_t connections, std::size_t ports,
                              const std::vector<endpoint>& host_addresses) {
  const std::size_t wanted = (connections + comfortable(ports) - 1) / comfortable(ports);
  if (wanted <= 1 || !is_of_this_host(target, host_addresses)) return {.addresses = {}, .reach = ports};
  source_addresses sources;
  if (target.family() == AF_INET) {
    for (std::size_t i = 0; i < std::min(wanted, loopback_sources); ++i) {
      sources.addresses.push_back(loopback_source(i));
    }
    sources.reach = loopback_sources * ports;
    return sources;
  }
  for (const endpoint& address : host_addresses) {
    if (address.family() == AF_INET6) sources.addresses.push_back(address);
  }
  sources.reach = sources.addresses.size() * ports;
  if (sources.addresses.size() > wanted) sources.addresses.resize(wanted);
  return sources;
}

}  // namespace echobench
