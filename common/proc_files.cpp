#include "common/proc_files.hpp"

#include "common/socket.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <sstream>
#include <system_error>

namespace echobench {

namespace fs = std::filesystem;

fs::path proc_of(pid_t pid) { return fs::path("/proc") / std::to_string(pid); }

std::string read_file(const fs::path& path) {
  const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  std::array<char, 4096> part;
  for (auto n = ::read(file.get(), part.data(), part.size()); n > 0;
       n = ::read(file.get(), part.data(), part.size())) {
    text.append(part.data(), static_cast<std::size_t>(n));
  }
  return text;
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  return entries;
}

// Fields from the third on: the second, the command, may hold anything but ends in ')'.
std::optional<process_stat> parse_stat(const std::string& text) {
  const auto command_end = text.rfind(')');
  if (command_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text.substr(command_end + 1));
  process_stat stat;
  std::string skipped;
  fields >> stat.state >> stat.parent;
  for (int field = 5; field <= 9; ++field) fields >> skipped;
  fields >> stat.minor_faults >> stat.children_minor_faults >> stat.major_faults >>
      stat.children_major_faults;
  fields >> stat.user_ticks >> stat.system_ticks >> stat.children_user_ticks >> stat.children_system_ticks;
  return fields ? std::optional(stat) : std::nullopt;
}

std::optional<process_stat> read_stat(pid_t pid) { return parse_stat(read_file(proc_of(pid) / "stat")); }

std::vector<pid_t> all_processes() {
  std::vector<pid_t> pids;
  for (const fs::path& entry : entries_of("/proc")) {
    const auto name = entry.filename().string();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec == std::errc{}) pids.push_back(pid);
  }
  return pids;
}

std::vector<pid_t> descendants_of(pid_t pid) {
  std::multimap<pid_t, pid_t> by_parent;
  for (const pid_t process : all_processes()) {
    if (const auto stat = read_stat(process)) by_parent.emplace(stat->parent, process);
  }
  std::vector<pid_t> descendants;
  std::vector<pid_t> parents{pid};
  while (!parents.empty()) {
    const auto [first, last] = by_parent.equal_range(parents.back());
    parents.pop_back();
    for (auto child = first; child != last; ++child) {
      descendants.push_back(child->second);
      parents.push_back(child->second);
    }
  }
  return descendants;
}

std::vector<pid_t> ancestors_of(pid_t pid) {
  std::vector<pid_t> ancestors;
  for (auto stat = read_stat(pid); stat && stat->parent > 0; stat = read_stat(ancestors.back())) {
    ancestors.push_back(stat->parent);
  }
  return ancestors;
}

}  // namespace echobench
