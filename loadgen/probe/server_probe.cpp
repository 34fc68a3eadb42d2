#include "loadgen/probe/server_probe.hpp"

#include "common/cpu.hpp"
#include "common/proc_files.hpp"
#include "common/socket.hpp"
#include "common/timespec.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr nanoseconds rest_interval = 200us;
constexpr nanoseconds rest_limit = 5ms;

nanoseconds from_ticks(std::uint64_t ticks) {
  static const auto per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return nanoseconds(ticks * (1'000'000'000 / per_second));
}

// The number after `key:` at the start of a line.
std::optional<std::uint64_t> value_of(const std::string& text, const std::string& key) {
  const auto at = text.find("\n" + key + ":");
  if (at == std::string::npos) return std::nullopt;
  const auto digit = text.find_first_of("0123456789", at);
  if (digit == std::string::npos) return std::nullopt;
  std::uint64_t value = 0;
  std::from_chars(text.data() + digit, text.data() + text.size(), value);
  return value;
}

void add_process(server_reading& sum, pid_t pid) {
  const auto status = read_file(proc_of(pid) / "status");
  sum.threads += value_of(status, "Threads").value_or(0);
  sum.page_table_bytes += value_of(status, "VmPTE").value_or(0) * 1024;
  if (const auto resident = value_of(status, "VmRSS")) {  // a process that has ended has no memory
    sum.rss_bytes += *resident * 1024;
    const auto share = value_of(read_file(proc_of(pid) / "smaps_rollup"), "Pss");
    if (!share) sum.pss_bytes.reset();
    if (sum.pss_bytes) *sum.pss_bytes += *share * 1024;
  }
  for (const auto& thread : entries_of(proc_of(pid) / "task")) {
    const auto thread_status = read_file(thread / "status");
    sum.voluntary_switches += value_of(thread_status, "voluntary_ctxt_switches").value_or(0);
    sum.involuntary_switches += value_of(thread_status, "nonvoluntary_ctxt_switches").value_or(0);
  }
  if (const auto stat = read_stat(pid)) {
    sum.minor_faults += stat->minor_faults + stat->children_minor_faults;
    sum.major_faults += stat->major_faults + stat->children_major_faults;
    sum.cpu_user += from_ticks(stat->user_ticks + stat->children_user_ticks);
    sum.cpu_system += from_ticks(stat->system_ticks + stat->children_system_ticks);
  }
}

void add_system(server_reading& sum) {
  if (const auto stacks = value_of(read_file("/proc/meminfo"), "KernelStack")) {
    sum.system_kernel_stack_bytes = *stacks * 1024;
  }
  std::istringstream sockets(read_file("/proc/net/sockstat"));
  for (std::string line; std::getline(sockets, line);) {
    const auto at = line.find(" mem ");
    if (!line.starts_with("TCP:") || at == std::string::npos) continue;
    std::uint64_t pages = 0;
    std::from_chars(line.data() + at + 5, line.data() + line.size(), pages);
    sum.system_tcp_memory_bytes = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
}

// Whether no thread of the machine runs or could run but this one: the fourth field of /proc/loadavg. Not to
// be had where a container is shown a file of its own, which may be seconds old.
bool machine_sleeps() {
  const unique_fd file(::open("/proc/loadavg", O_RDONLY | O_CLOEXEC));
  struct statfs system {};
  if (::fstatfs(file.get(), &system) != 0 || system.f_type != PROC_SUPER_MAGIC) return false;
  std::array<char, 128> text{};
  if (::read(file.get(), text.data(), text.size() - 1) <= 0) return false;
  std::istringstream fields(text.data());
  std::string skipped;
  std::uint64_t runnable = 0;
  fields >> skipped >> skipped >> skipped >> runnable;
  return fields && runnable == 1;
}

bool any_thread_runs(pid_t pid) {
  for (const auto& thread : entries_of(proc_of(pid) / "task")) {
    const auto stat = parse_stat(read_file(thread / "stat"));
    if (stat && stat->state == 'R') return true;
  }
  return false;
}

// Threads that have used a tick of CPU at least: one that waits for a signal is no capacity.
std::size_t used_threads(pid_t pid) {
  std::size_t count = 0;
  for (const auto& thread : entries_of(proc_of(pid) / "task")) {
    const auto stat = parse_stat(read_file(thread / "stat"));
    count += stat && stat->user_ticks + stat->system_ticks > 0;
  }
  return count;
}

void sleep_for(nanoseconds duration) noexcept {
  const auto time = to_timespec(duration);
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

nanoseconds server_probe::refresh() {
  const auto known = std::exchange(children_, descendants_of(pid_));
  nanoseconds unknown_used{0};
  for (const pid_t child : children_) {
    if (std::ranges::find(known, child) == known.end()) unknown_used += process_cpu_time(child).value_or(0ns);
  }
  return unknown_used;
}

template <class Act>
void server_probe::for_each_process(Act&& act) const {
  act(pid_);
  for (const pid_t child : children_) act(child);
}

void server_probe::find_new_children() {
  for (std::size_t i = 0; i <= children_.size(); ++i) {
    const pid_t parent = i == 0 ? pid_ : children_[i - 1];
    std::istringstream list(read_file(proc_of(parent) / "task" / std::to_string(parent) / "children"));
    for (pid_t child = 0; list >> child;) {
      if (std::ranges::find(children_, child) == children_.end()) children_.push_back(child);
    }
  }
}

server_reading server_probe::read() const {
  server_reading sum;
  sum.pss_bytes = 0;
  for_each_process([&](pid_t pid) { add_process(sum, pid); });
  if (sum.threads == 0) sum.pss_bytes.reset();
  add_system(sum);
  return sum;
}

server_cpu server_probe::cpu() noexcept {
  const auto process = process_cpu_time(pid_);
  if (!process) return last_;
  last_ = {.total = *process, .children = 0ns};
  for (const pid_t child : children_) last_.children += process_cpu_time(child).value_or(0ns);
  if (const auto stat = read_stat(pid_)) {
    last_.children += from_ticks(stat->children_user_ticks + stat->children_system_ticks);
  }
  last_.total += last_.children;
  return last_;
}

bool server_probe::sleeps() const {
  if (machine_sleeps()) return true;
  bool runs = false;
  for_each_process([&](pid_t pid) { runs = runs || any_thread_runs(pid); });
  return !runs;
}

// Equal readings alone would be no proof: the clock of what runs on another CPU stands still between ticks.
server_cpu server_probe::cpu_at_rest() {
  find_new_children();
  const auto limit = std::chrono::steady_clock::now() + rest_limit;
  auto before = cpu().total;
  while (std::chrono::steady_clock::now() < limit) {
    sleep_for(rest_interval);
    if (cpu().total == before && sleeps() && cpu().total == before) break;
    before = last_.total;
  }
  return last_;
}

std::size_t server_probe::usable_cpus() const {
  cpu_set_t set;
  CPU_ZERO(&set);
  const auto allowed = ::sched_getaffinity(pid_, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::size_t threads = 0;
  for_each_process([&](pid_t pid) { threads += used_threads(pid); });
  return std::clamp<std::size_t>(threads, 1, static_cast<std::size_t>(allowed));
}

}  // namespace echobench
