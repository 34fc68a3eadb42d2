#include "loadgen/drive/resolved_load.hpp"

#include "loadgen/drive/source_addresses.hpp"
#include "loadgen/probe/host_addresses.hpp"
#include "loadgen/probe/local_ports.hpp"
#include "loadgen/transport/transport.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

namespace echobench {
namespace {

// `most`: connections to each of `alike` TARGETs that have this address.
[[noreturn]] void refuse_connections(const options& asked, const endpoint& target, bool is_local,
                                     std::size_t sources, const local_ports& ports, std::size_t alike,
                                     std::size_t most) {
  const bool idle = asked.load.idle_connections > 0;
  const auto counts = idle ? fmt::format("--connections {} and --idle-connections {}", asked.load.connections,
                                         asked.load.idle_connections)
                           : fmt::format("--connections {}", asked.load.connections);
  throw std::invalid_argument(fmt::format(
      "{} to {}{}: at most {} can be open at a time, from {} address(es) with {} each: lower {}, widen that "
      "range, or {}",
      counts, target.to_string(), alike > 1 ? fmt::format(", which is {} of the TARGETs", alike) : "", most,
      sources, describe(ports), idle ? "--idle-connections" : "--connections",
      is_local ? "give the loopback interface more addresses (ip -6 address add fd00::1:1/128 dev lo)"
               : "divide them over several hosts (echo-load-mpi)"));
}

}  // namespace

engine_choice choose_engine(const options& asked) {
  if (asked.io == engine::epoll) return {engine::epoll, "asked for"};
  if (asked.load.accuracy) return {engine::epoll, "--accuracy takes timestamps by recvmsg(2)"};
  const std::string why_not = io_uring_unavailable_reason();
  if (asked.io && !why_not.empty()) throw std::invalid_argument("--engine io-uring: " + why_not);
  if (!why_not.empty()) return {engine::epoll, why_not};
  return {engine::io_uring, asked.io ? "asked for" : "it can be used here"};
}

load_spec resolved_load(const options& asked, engine io, const std::vector<endpoint>& targets,
                        std::size_t processes) {
  load_spec load = asked.load;
  load.io = io;
  load.messages.alike_every = static_cast<std::uint32_t>(asked.all_connections());
  load.targets = targets;
  const auto host = host_addresses();
  const local_ports ports = read_local_ports();
  for (const endpoint& target : targets) {
    // Ports are for an address: TARGETs that have the same share them. All processes of a target on this host
    // are on this host, too; those of another may be on several.
    const auto alike = static_cast<std::size_t>(std::ranges::count(targets, target));
    const bool is_local = is_of_this_host(target, host);
    const std::size_t hosts = is_local ? 1 : processes;
    const std::size_t connections = (asked.all_connections() + hosts - 1) / hosts * alike;
    source_addresses sources = plan_sources(target, connections, ports.count(), host);
    if (sources.reach < connections) {
      refuse_connections(asked, target, is_local, std::max<std::size_t>(sources.addresses.size(), 1), ports,
                         alike, sources.reach * hosts / alike);
    }
    load.sources.push_back(std::move(sources.addresses));
  }
  return load;
}

}  // namespace echobench
