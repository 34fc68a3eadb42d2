#include "servers/conformance/process_tree.hpp"

#include "common/cpu.hpp"
#include "common/proc_files.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <set>
#include <string>
#include <system_error>

namespace echobench::testing {
namespace {

namespace fs = std::filesystem;

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> all;
  for (const fs::path& task : entries_of(proc_of(pid) / "task")) {
    std::ifstream children(task / "children");
    for (pid_t child = 0; children >> child;) all.push_back(child);
  }
  return all;
}

// Bytes mapped.
std::uint64_t address_space_of(pid_t pid) {
  std::ifstream statm(proc_of(pid) / "statm");
  std::uint64_t pages = 0;
  statm >> pages;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// `Pss:` or `Rss:`, in bytes.
std::size_t memory_of(pid_t pid, std::string_view row) {
  std::ifstream rollup(proc_of(pid) / "smaps_rollup");
  for (std::string word; rollup >> word;) {
    std::size_t kilobytes = 0;
    if (word == row && rollup >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

// The kernel uses the lowest free number, and refuses numbers from the limit on.
std::uint64_t lowest_free_descriptor(pid_t pid) {
  std::set<std::uint64_t> used;
  for (const fs::path& descriptor : entries_of(proc_of(pid) / "fd")) {
    used.insert(std::stoull(descriptor.filename().string()));
  }
  std::uint64_t lowest = 0;
  while (used.contains(lowest)) ++lowest;
  return lowest;
}

void limit_soft(pid_t pid, __rlimit_resource resource, std::uint64_t value) {
  rlimit limit{};
  if (::prlimit(pid, resource, nullptr, &limit) == 0) {
    limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
    if (::prlimit(pid, resource, &limit, nullptr) == 0) return;
  }
  throw std::system_error(errno, std::system_category(), "prlimit");
}

std::uint64_t add(std::uint64_t base, std::uint64_t more) {
  return more == process_tree::unlimited ? more : base + more;
}

template <class Of>
auto sum(const std::vector<pid_t>& pids, Of of) {
  return std::accumulate(pids.begin(), pids.end(), decltype(of(0)){},
                         [&](auto total, pid_t pid) { return total + of(pid); });
}

}  // namespace

process_tree::process_tree(pid_t root) : pids_{root} {
  for (std::size_t i = 0; i < pids_.size(); ++i) {
    const std::vector<pid_t> children = children_of(pids_[i]);
    pids_.insert(pids_.end(), children.begin(), children.end());
  }
}

std::size_t process_tree::descriptors() const {
  return sum(pids_, [](pid_t pid) { return entries_of(proc_of(pid) / "fd").size(); });
}

std::size_t process_tree::epoll_sets() const {
  return sum(pids_, [](pid_t pid) {
    return static_cast<std::size_t>(
        std::ranges::count_if(entries_of(proc_of(pid) / "fd"), [](const fs::path& descriptor) {
          std::error_code closed;
          return fs::read_symlink(descriptor, closed) == "anon_inode:[eventpoll]";
        }));
  });
}

std::size_t process_tree::threads() const {
  return sum(pids_, [](pid_t pid) { return entries_of(proc_of(pid) / "task").size(); });
}

std::size_t process_tree::resident_bytes() const {
  return sum(pids_, [&](pid_t pid) { return memory_of(pid, pids_.size() > 1 ? "Pss:" : "Rss:"); });
}

std::chrono::nanoseconds process_tree::cpu_time() const {
  return sum(pids_, [](pid_t pid) { return process_cpu_time(pid).value_or(std::chrono::nanoseconds(0)); });
}

std::map<pid_t, std::chrono::nanoseconds> process_tree::cpu_wanted() const {
  std::map<pid_t, std::chrono::nanoseconds> wanted;
  for (const pid_t pid : pids_) {
    wanted[pid] = process_cpu_time(pid).value_or(std::chrono::nanoseconds(0));
    for (const fs::path& task : entries_of(proc_of(pid) / "task")) {
      std::ifstream schedstat(task / "schedstat");  // ns on a CPU, ns in a run queue, turns
      std::int64_t used = 0;
      std::int64_t waited = 0;
      schedstat >> used >> waited;
      wanted[pid] += std::chrono::nanoseconds(waited);
    }
  }
  return wanted;
}

bool process_tree::busy() const {
  return std::ranges::any_of(pids_, [](pid_t pid) {
    return std::ranges::any_of(entries_of(proc_of(pid) / "task"), [](const fs::path& task) {
      const auto stat = parse_stat(read_file(task / "stat"));
      return stat && (stat->state == 'R' || stat->state == 'D');
    });
  });
}

void process_tree::limit_address_space(std::uint64_t more) const {
  for (const pid_t pid : pids_) limit_soft(pid, RLIMIT_AS, add(address_space_of(pid), more));
}

void process_tree::limit_descriptors(std::uint64_t more) const {
  for (const pid_t pid : pids_) limit_soft(pid, RLIMIT_NOFILE, add(lowest_free_descriptor(pid), more));
}

}  // namespace echobench::testing
