#include "loadgen/probe/system_counters.hpp"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string_view>

namespace echobench {
namespace {

// Of a file that has two lines for each protocol, `Tcp: names`, then `Tcp: numbers`.
std::optional<std::uint64_t> counter(const std::string& path, const std::string& protocol,
                                     std::string_view wanted) {
  std::ifstream file(path);
  for (std::string names, numbers; std::getline(file, names) && std::getline(file, numbers);) {
    if (!names.starts_with(protocol + ":")) continue;
    std::istringstream name_words(names);
    std::istringstream number_words(numbers);
    for (std::string name, number; name_words >> name && number_words >> number;) {
      if (name == wanted) return std::stoull(number);
    }
  }
  return std::nullopt;
}

// The eighth number of the first line, `cpu user nice system idle iowait irq softirq steal ...`.
std::optional<std::chrono::nanoseconds> stolen_time(const std::string& path) {
  std::ifstream file(path);
  std::string name;
  std::uint64_t ticks = 0;
  if (!(file >> name)) return std::nullopt;
  for (int field = 0; field < 8; ++field) {
    if (!(file >> ticks)) return std::nullopt;
  }
  return std::chrono::nanoseconds(ticks * 1'000'000'000 / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)));
}

template <class T>
std::optional<T> difference(std::optional<T> now, std::optional<T> before) noexcept {
  if (!now || !before || *now < *before) return std::nullopt;
  return *now - *before;
}

}  // namespace

system_counters system_counters::since(const system_counters& before) const noexcept {
  return {.listen_overflows = difference(listen_overflows, before.listen_overflows),
          .retransmissions = difference(retransmissions, before.retransmissions),
          .stolen = difference(stolen, before.stolen)};
}

system_counters read_system_counters(const std::string& proc) {
  return {.listen_overflows = counter(proc + "/net/netstat", "TcpExt", "ListenOverflows"),
          .retransmissions = counter(proc + "/net/snmp", "Tcp", "RetransSegs"),
          .stolen = stolen_time(proc + "/stat")};
}

}  // namespace echobench
