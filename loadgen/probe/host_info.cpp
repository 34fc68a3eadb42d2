#include "loadgen/probe/host_info.hpp"

#include "common/cpu.hpp"

#include <nlohmann/json.hpp>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>

namespace echobench {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

void add_line(json& to, const std::string& name, const fs::path& path) {
  if (auto line = first_line(path); !line.empty()) to[name] = std::move(line);
}

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  }
  return {};
}

json mitigations() {
  json known = json::object();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/devices/system/cpu/vulnerabilities", error)) {
    add_line(known, entry.path().filename().string(), entry.path());
  }
  return known;
}

json sysctls() {
  json known = json::object();
  for (const std::string name :
       {"net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem", "net.ipv4.tcp_tw_reuse",
        "net.core.busy_poll", "net.core.rps_sock_flow_entries", "net.core.netdev_budget",
        "kernel.io_uring_disabled", "kernel.threads-max", "vm.max_map_count", "fs.file-max"}) {
    std::string path = name;
    for (char& character : path) character = character == '.' ? '/' : character;
    add_line(known, name, fs::path("/proc/sys") / path);
  }
  return known;
}

// Options of the kernel that decide whose account time lands on, and how finely. Each as the build had it:
// "y", "n", "250". Source: /proc/config.gz, else the file next to the kernel; null when neither can be read.
json kernel_options(const std::string& release) {
  constexpr std::array<std::string_view, 5> names{
      "CONFIG_HZ", "CONFIG_IRQ_TIME_ACCOUNTING", "CONFIG_PARAVIRT_TIME_ACCOUNTING",
      "CONFIG_TICK_CPU_ACCOUNTING", "CONFIG_VIRT_CPU_ACCOUNTING_GEN"};
  const auto wanted = [&](std::string_view name) {
    return name.starts_with("CONFIG_PREEMPT") || std::ranges::find(names, name) != names.end();
  };
  for (const auto& path : {std::string("/proc/config.gz"), "/boot/config-" + release}) {
    const std::unique_ptr<gzFile_s, decltype(&::gzclose)> file(::gzopen(path.c_str(), "rb"), &::gzclose);
    if (!file) continue;
    json known = json::object();
    std::array<char, 4096> buffer;
    while (::gzgets(file.get(), buffer.data(), static_cast<int>(buffer.size())) != nullptr) {
      std::istringstream words(buffer.data());  // CONFIG_X=value, or # CONFIG_X is not set
      std::string word;
      words >> word;
      const auto equals = word.find('=');
      if (equals != std::string::npos && wanted(word.substr(0, equals))) {
        known[word.substr(0, equals)] = word.substr(equals + 1);
      } else if (word == "#" && words >> word && wanted(word)) {
        known[word] = "n";
      }
    }
    if (!known.empty()) return known;
  }
  return nullptr;
}

json limit(int resource) {
  rlimit limits{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limits);
  const auto value = [](rlim_t of) { return of == RLIM_INFINITY ? json("unlimited") : json(of); };
  return {{"soft", value(limits.rlim_cur)}, {"hard", value(limits.rlim_max)}};
}

// Jiffies that this machine's CPUs were taken away by its hypervisor, since it started.
void add_steal(json& to) {
  std::istringstream fields(first_line("/proc/stat"));
  std::string name;
  std::uint64_t value = 0;
  fields >> name;
  for (int field = 0; field < 8; ++field) fields >> value;
  if (fields) to["steal_ticks"] = value;
}

// Whether io_uring_setup(2) is let through: with no arguments it fails with EFAULT where it is.
bool io_uring_allowed() { return ::syscall(SYS_io_uring_setup, 1, nullptr) < 0 && errno == EFAULT; }

}  // namespace

json describe_host() {
  utsname system{};
  ::uname(&system);
  json host{{"kernel", std::string(system.sysname) + " " + system.release},
            {"kernel_version", system.version},
            {"architecture", system.machine},
            {"cores", ::sysconf(_SC_NPROCESSORS_ONLN)},
            {"allowed_cpus", format_cpu_list(allowed_cpus())},
            {"memory_bytes", ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE)},
            {"mitigations", mitigations()},
            {"limits", {{"open_files", limit(RLIMIT_NOFILE)}, {"processes", limit(RLIMIT_NPROC)}}},
            {"sysctls", sysctls()},
            {"io_uring_allowed", io_uring_allowed()}};
  if (auto model = cpu_model(); !model.empty()) host["cpu"] = std::move(model);
  add_line(host, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  add_line(host, "smt_active", "/sys/devices/system/cpu/smt/active");
  add_line(host, "clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource");
  add_line(host, "load", "/proc/loadavg");
  add_line(host, "lo_rps_cpus", "/sys/class/net/lo/queues/rx-0/rps_cpus");
  if (auto built_with = kernel_options(system.release); !built_with.is_null()) {
    host["kernel_options"] = std::move(built_with);
  }
  add_steal(host);
  return host;
}

}  // namespace echobench
