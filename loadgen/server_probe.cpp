#include "loadgen/server_probe.hpp"

#include "common/cpu.hpp"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr nanoseconds rest_interval = 200us;
constexpr nanoseconds rest_limit = 5ms;

fs::path proc_of(pid_t pid) { return fs::path("/proc") / std::to_string(pid); }

std::string read_file(const fs::path& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Fields of /proc/PID/stat from the third on: the second, the command, may hold anything but ends in ')'.
struct process_stat {
  pid_t parent = 0;
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t children_ticks = 0;  // ended and waited for
};

std::optional<process_stat> parse_stat(const std::string& text) {
  const auto command_end = text.rfind(')');
  if (command_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(command_end + 1));
  process_stat stat;
  std::string skipped;
  std::uint64_t children_user = 0;
  std::uint64_t children_system = 0;
  fields >> skipped >> stat.parent;
  for (int field = 5; field <= 13; ++field) fields >> skipped;
  fields >> stat.user_ticks >> stat.system_ticks >> children_user >> children_system;
  stat.children_ticks = children_user + children_system;
  return fields ? std::optional(stat) : std::nullopt;
}

std::optional<process_stat> read_stat(pid_t pid) { return parse_stat(read_file(proc_of(pid) / "stat")); }

nanoseconds from_ticks(std::uint64_t ticks) {
  static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return nanoseconds(ticks * (1'000'000'000 / per_second));
}

// The number after `key:` in the text of /proc/PID/status; 0 when there is none.
std::uint64_t status_value(const std::string& text, const std::string& key) {
  const auto at = text.find("\n" + key + ":");
  if (at == std::string::npos) return 0;
  const auto digit = text.find_first_of("0123456789", at);
  std::uint64_t value = 0;
  if (digit != std::string::npos) std::from_chars(text.data() + digit, text.data() + text.size(), value);
  return value;
}

void add_process(server_reading& sum, pid_t pid) {
  const auto status = read_file(proc_of(pid) / "status");
  sum.rss_bytes += status_value(status, "VmRSS") * 1024;
  sum.page_table_bytes += status_value(status, "VmPTE") * 1024;
  sum.threads += status_value(status, "Threads");
  std::error_code ended;
  for (const auto& thread : fs::directory_iterator(proc_of(pid) / "task", ended)) {
    const auto own = read_file(thread.path() / "status");
    sum.voluntary_switches += status_value(own, "voluntary_ctxt_switches");
    sum.involuntary_switches += status_value(own, "nonvoluntary_ctxt_switches");
  }
  if (const auto stat = read_stat(pid)) {
    sum.cpu_user += from_ticks(stat->user_ticks);
    sum.cpu_system += from_ticks(stat->system_ticks);
  }
}

// Threads that have used a tick of CPU at least: one that waits for a signal is no capacity.
std::size_t used_threads(pid_t pid) {
  std::size_t count = 0;
  std::error_code ended;
  for (const auto& thread : fs::directory_iterator(proc_of(pid) / "task", ended)) {
    const auto stat = parse_stat(read_file(thread.path() / "stat"));
    count += stat && stat->user_ticks + stat->system_ticks > 0;
  }
  return count;
}

void sleep_for(nanoseconds duration) noexcept {
  const timespec time{.tv_sec = 0, .tv_nsec = duration.count()};
  ::nanosleep(&time, nullptr);
}

}  // namespace

server_probe::server_probe(pid_t pid) : pid_(pid) {
  if (!process_cpu_time(pid) || !read_stat(pid)) {
    throw std::system_error(ESRCH, std::system_category(),
                            "--server-pid " + std::to_string(pid) + ": cannot read its CPU time");
  }
  refresh();
}

void server_probe::refresh() {
  std::multimap<pid_t, pid_t> by_parent;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const auto name = entry.path().filename().string();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc{}) continue;
    if (const auto stat = read_stat(pid)) by_parent.emplace(stat->parent, pid);
  }
  children_.clear();
  std::vector<pid_t> parents{pid_};
  while (!parents.empty()) {
    const auto [first, last] = by_parent.equal_range(parents.back());
    parents.pop_back();
    for (auto child = first; child != last; ++child) {
      children_.push_back(child->second);
      parents.push_back(child->second);
    }
  }
}

server_reading server_probe::read() const {
  server_reading sum;
  add_process(sum, pid_);
  for (const pid_t child : children_) add_process(sum, child);
  return sum;
}

server_cpu server_probe::cpu() noexcept {
  const auto own = process_cpu_time(pid_);
  if (!own) return last_;
  last_ = {.total = *own, .children = 0ns};
  for (const pid_t child : children_) last_.children += process_cpu_time(child).value_or(0ns);
  if (const auto stat = read_stat(pid_)) last_.children += from_ticks(stat->children_ticks);
  last_.total += last_.children;
  return last_;
}

server_cpu server_probe::cpu_at_rest() noexcept {
  server_cpu before = cpu();
  for (nanoseconds waited = 0ns; waited < rest_limit; waited += rest_interval) {
    sleep_for(rest_interval);
    const server_cpu after = cpu();
    if (after.total == before.total) break;
    before = after;
  }
  return before;
}

std::size_t server_probe::usable_cpus() const {
  cpu_set_t set;
  CPU_ZERO(&set);
  const auto allowed = ::sched_getaffinity(pid_, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::size_t threads = used_threads(pid_);
  for (const pid_t child : children_) threads += used_threads(child);
  return std::clamp<std::size_t>(threads, 1, static_cast<std::size_t>(allowed));
}

}  // namespace echobench
