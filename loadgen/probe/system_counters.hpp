// What the whole machine counts, and what distorts figures.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace echobench {

// Since the machine, or the network namespace, was started. Empty: not readable. Sources: proc(5), and
// net/ipv4/proc.c of the kernel.
struct system_counters {
  std::optional<std::uint64_t> listen_overflows;   // net/netstat TcpExt ListenOverflows: accept queue full
  std::optional<std::uint64_t> retransmissions;    // net/snmp Tcp RetransSegs: segments
  std::optional<std::chrono::nanoseconds> stolen;  // stat, of all CPUs: by the hypervisor, in ticks

  // What was counted between `before` and this.
  system_counters since(const system_counters& before) const noexcept;
};

// `proc`: where /proc is.
system_counters read_system_counters(const std::string& proc = "/proc");

}  // namespace echobench
