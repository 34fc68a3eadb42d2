#include "loadgen/probe/host_addresses.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <memory>

namespace echobench {
namespace {

bool is_link_local(const endpoint& address) {
  return address.family() == AF_INET6 &&
         IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6*>(address.address())->sin6_addr);
}

}  // namespace

std::vector<endpoint> host_addresses() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  std::vector<endpoint> addresses;
  for (const bool loopback : {true, false}) {
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      const bool is_loopback = (entry->ifa_flags & IFF_LOOPBACK) != 0;
      if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0 || is_loopback != loopback) continue;
      const int family = entry->ifa_addr->sa_family;
      if (family != AF_INET && family != AF_INET6) continue;
      endpoint address;
      std::memcpy(address.address(), entry->ifa_addr,
                  family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
      if (!is_link_local(address)) addresses.push_back(address);
    }
  }
  return addresses;
}

bool is_of_this_host(const endpoint& address, const std::vector<endpoint>& host) {
  if (address.family() == AF_INET) {
    const auto number = ntohl(reinterpret_cast<const sockaddr_in*>(address.address())->sin_addr.s_addr);
    if (number >> 24 == IN_LOOPBACKNET) return true;
  }
  endpoint without_port = address;
  without_port.set_port(0);
  return std::ranges::find(host, without_port) != host.end();
}

}  // namespace echobench
