// What a server process and its children use: the figures, without the reading of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace echobench {

// Of the server and its children together, at one moment. Sources: proc(5).
struct server_reading {
  std::uint64_t rss_bytes = 0;             // status VmRSS; pages that processes share count once for each
  std::optional<std::uint64_t> pss_bytes;  // smaps_rollup Pss: a shared page counts once; empty: not readable
  std::uint64_t page_table_bytes = 0;      // status VmPTE: kernel memory for their page tables
  std::uint64_t threads = 0;               // status Threads
  std::uint64_t voluntary_switches = 0;  // task/TID/status of threads alive now: those of ended ones are lost
  std::uint64_t involuntary_switches = 0;  // of the same threads
  std::uint64_t minor_faults = 0;          // stat minflt, cminflt: ended threads and children included
  std::uint64_t major_faults = 0;          // stat majflt, cmajflt: ended ones included
  std::chrono::nanoseconds cpu_user{0};    // stat utime, cutime: in clock ticks; ended ones included
  std::chrono::nanoseconds cpu_system{0};  // stat stime, cstime: in clock ticks; ended ones included

  // Kernel memory of a process that no file shows: an estimate, 16 KiB (THREAD_SIZE of x86-64 and arm64) for
  // the stack of each thread.
  std::uint64_t kernel_stack_estimate_bytes() const noexcept { return threads * (16U << 10); }

  // Of the whole system, client and everything else included; empty: not readable.
  std::optional<std::uint64_t> system_kernel_stack_bytes;  // /proc/meminfo KernelStack
  std::optional<std::uint64_t>
      system_tcp_memory_bytes;  // /proc/net/sockstat TCP mem: socket buffers, in pages
};

struct server_cpu {
  std::chrono::nanoseconds total{0};
  std::chrono::nanoseconds children{0};  // part of total
};

// What a server used in a run.
struct server_use {
  server_reading base;                       // before connecting
  server_reading begin;                      // after the warm-up, before what is measured
  server_reading end;                        // after the load, connections still open
  std::chrono::nanoseconds cpu{0};           // in its slices, children included
  std::chrono::nanoseconds cpu_children{0};  // part of that
  std::chrono::nanoseconds cpu_idle{0};      // outside its slices
  double busy = 0;                           // 0 to 1 of the CPUs that it can use, in its slices
};

}  // namespace echobench
