// For tests: what a server's processes hold and use. A server may be several processes: the one that was
// started, its children and their children (proc(5)).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

namespace echobench::testing {

class process_tree {
public:
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  // The processes that exist now.
  explicit process_tree(pid_t root);

  const std::vector<pid_t>& pids() const noexcept { return pids_; }  // the root first
  std::size_t descriptors() const;
  std::size_t epoll_sets() const;
  std::size_t threads() const;
  // A page that several processes share counts once.
  std::size_t resident_bytes() const;
  std::chrono::nanoseconds cpu_time() const;
  // CPU time that each process has used, and time for which its runnable threads have waited for a CPU.
  std::map<pid_t, std::chrono::nanoseconds> cpu_wanted() const;
  // Whether a thread runs, waits for a CPU, or waits without being interruptible.
  bool busy() const;

  // Soft limits of each process: how many bytes it may map, or descriptors it may open, in addition to what
  // it has now.
  void limit_address_space(std::uint64_t more) const;
  void limit_descriptors(std::uint64_t more) const;

private:
  std::vector<pid_t> pids_;
};

}  // namespace echobench::testing
