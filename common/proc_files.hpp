// Processes as /proc shows them (proc(5)).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace echobench {

std::filesystem::path proc_of(pid_t pid);

// Empty when it cannot be read.
std::string read_file(const std::filesystem::path& path);

// What a folder holds; nothing more from the moment on when it cannot be read, as when its process ends.
std::vector<std::filesystem::path> entries_of(const std::filesystem::path& folder);

// Of /proc/PID/stat.
struct process_stat {
  char state = '?';
  pid_t parent = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t children_minor_faults = 0;  // ended and waited for
  std::uint64_t major_faults = 0;
  std::uint64_t children_major_faults = 0;
  std::uint64_t user_ticks = 0;
  std::uint64_t system_ticks = 0;
  std::uint64_t children_user_ticks = 0;
  std::uint64_t children_system_ticks = 0;
};
std::optional<process_stat> parse_stat(const std::string& text);
std::optional<process_stat> read_stat(pid_t pid);

std::vector<pid_t> all_processes();

// The children of `pid`, their children and so on. Reads all of /proc.
std::vector<pid_t> descendants_of(pid_t pid);

// The parent of `pid`, its parent and so on, as far as they can be seen.
std::vector<pid_t> ancestors_of(pid_t pid);

}  // namespace echobench
