// What a server process uses, read from outside: CPU by its clock, the rest from /proc (proc(5)).
//
// Processes that it has started count as part of it: those found so far by their own clocks, ended ones by
// what their parent has collected of them.
#pragma once

#include "loadgen/probe/server_reading.hpp"

#include <sys/types.h>

#include <chrono>
#include <vector>

namespace echobench {

class server_probe {
public:
  // Throws std::system_error that names the pid when there is no such process or its /proc is not readable.
  explicit server_probe(pid_t pid);

  // Looks for child processes in all of /proc: not between slices. Returns the CPU that those have used which
  // were not known before.
  std::chrono::nanoseconds refresh();

  // Looks, at little cost, for children that first threads have forked since (/proc/PID/task/PID/children,
  // where the kernel has it).
  void find_new_children();

  // Reads every thread's status and walks all memory: not between slices. Zeros when the process has ended.
  server_reading read() const;

  // CPU used so far; a process that runs is seen as of its last tick. Once it has ended: what was read last.
  server_cpu cpu() noexcept;

  // The same when the server sleeps, and so exactly: no thread of it runs, or could if it had a CPU, and two
  // readings 200 us apart are equal. A server that does not sleep within 5 ms is taken as it is. Finds new
  // children before.
  server_cpu cpu_at_rest();

  // How many CPUs it can keep busy: those that it may run on, or if they are fewer its threads that have used
  // any. Reads every thread's stat: not between slices.
  std::size_t usable_cpus() const;

private:
  template <class Act>
  void for_each_process(Act&& act) const;
  bool sleeps() const;

  pid_t pid_;
  std::vector<pid_t> children_;  // and theirs
  server_cpu last_;
};

}  // namespace echobench
