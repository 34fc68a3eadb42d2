#include "loadgen/drive/source_addresses.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>

namespace echobench {
namespace {

constexpr std::size_t connections_per_source = 25'000;  // of the 28,232 ports of the default range

}  // namespace

std::vector<endpoint> source_addresses(const endpoint& target, std::size_t connections) {
  std::vector<endpoint> sources;
  if (connections <= connections_per_source || target.family() != AF_INET) return sources;
  const auto address = ntohl(reinterpret_cast<const sockaddr_in*>(target.address())->sin_addr.s_addr);
  if (address >> 24 != IN_LOOPBACKNET) return sources;
  const auto count = (connections - 1) / connections_per_source + 1;
  for (std::size_t i = 0; i < count; ++i) {
    endpoint source = target;
    source.set_port(0);
    reinterpret_cast<sockaddr_in*>(source.address())->sin_addr.s_addr =
        htonl(static_cast<std::uint32_t>(0x7f00'0100 + i));
    sources.push_back(source);
  }
  return sources;
}

}  // namespace echobench
