// What a server process and its children use: the figures, without the reading of them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace echobench {

struct server_reading {
  std::uint64_t rss_bytes = 0;             // resident memory; pages that processes share count once for each
  std::optional<std::uint64_t> pss_bytes;  // the same, but a shared page counts once; empty: not readable
  std::uint64_t page_table_bytes = 0;      // kernel memory for their page tables
  std::uint64_t threads = 0;
  std::uint64_t voluntary_switches = 0;  // of threads alive now
  std::uint64_t involuntary_switches = 0;
  std::chrono::nanoseconds cpu_user{0};  // resolution: a clock tick; ended children included
  std::chrono::nanoseconds cpu_system{0};
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
  std::chrono::nanoseconds cpu_children{0};  // of it
  std::chrono::nanoseconds cpu_idle{0};      // outside its slices
  double busy = 0;                           // 0 to 1 of the CPUs that it can use, in its slices
};

}  // namespace echobench
