// For tests: what a server's processes hold and use. A server may be several processes: one is started, the
// others are its children and theirs (proc(5)).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace echobench::testing {

class process_tree {
public:
  static constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

  // Those that live now.
  explicit process_tree(pid_t root);

  const std::vector<pid_t>& pids() const noexcept { return pids_; }  // the root first
  std::size_t descriptors() const;
  std::size_t threads() const;
  // Of several processes, a page that they share counts once.
  std::size_t resident_bytes() const;
  std::chrono::nanoseconds cpu_time() const;
  // CPU time that they have used, and that their threads have waited for while they could have run.
  std::chrono::nanoseconds cpu_wanted() const;

  // Soft limits of each process: it may map so many bytes more than it has now, it may open so many
  // descriptors more.
  void limit_address_space(std::uint64_t more) const;
  void limit_descriptors(std::uint64_t more) const;

private:
  std::vector<pid_t> pids_;
};

}  // namespace echobench::testing
