#include "loadgen/probe/server_probe.hpp"

#include "loadgen/probe/child_process.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <system_error>

namespace echobench {
namespace {

using namespace std::chrono_literals;

void burn(std::chrono::nanoseconds cpu) {
  timespec used{};
  do ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  while (std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec) < cpu);
}

TEST(server_probe, reads_cpu_and_memory_of_a_process) {
  const child_process process([](int) { burn(30ms); });
  process.wait_until_done();
  server_probe probe(process.pid());
  EXPECT_GE(probe.cpu_at_rest().total, 30ms);
  // Not yet, on a machine that has no time for it, nor while ThreadSanitizer's own thread runs.
  bool rests = false;
  for (int i = 0; i < 1000 && !rests; ++i) {
    const auto before = probe.cpu_at_rest().total;
    rests = probe.cpu().total == before;
  }
  EXPECT_TRUE(rests) << "it sleeps";
  EXPECT_EQ(probe.cpu().children, 0ns);
  const server_reading reading = probe.read();
  EXPECT_GT(reading.rss_bytes, 0U);
  EXPECT_GT(reading.page_table_bytes, 0U);
  EXPECT_GE(reading.threads, 1U) << "ThreadSanitizer adds one of its own";
  EXPECT_GE(probe.usable_cpus(), 1U);
  EXPECT_LE(probe.usable_cpus(), reading.threads) << "a thread keeps one CPU busy at most";
}

TEST(server_probe, counts_children_alive_and_ended) {
  server_probe self(::getpid());
  const auto before = self.cpu().children;
  child_process child([](int) { burn(50ms); });
  child.wait_until_done();
  self.refresh();
  EXPECT_GE(self.cpu().children - before, 50ms);
  EXPECT_GE(self.cpu().total, self.cpu().children);
  child.end();
  // By the parent's account now, which has the resolution of a clock tick.
  EXPECT_GE(self.cpu().children - before, 30ms);
}

TEST(server_probe, a_process_that_runs_is_not_at_rest) {
  // Its clock stands still between ticks: two equal readings are no sleep.
  const child_process spinner([](int) {
    for (volatile bool on = true; on;) {
    }
  });
  server_probe probe(spinner.pid());
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    probe.cpu_at_rest();
    EXPECT_GE(std::chrono::steady_clock::now() - start, 5ms) << "it gave up before its limit";
  }
}

TEST(server_probe, counts_children_that_are_forked_later) {
  if (::access("/proc/thread-self/children", R_OK) != 0) GTEST_SKIP() << "CONFIG_PROC_CHILDREN is not set";
  const child_process parent(
      [](int done) {
        if (fork_bound_to_parent("a child") == 0) {
          burn(50ms);
          write_byte(done);
        }
        for (;;) ::pause();
      },
      child_process::start::later);
  server_probe probe(parent.pid());
  EXPECT_EQ(probe.cpu().children, 0ns);
  parent.go();
  parent.wait_until_done();
  EXPECT_GE(probe.cpu_at_rest().children, 40ms);
}

TEST(server_probe, a_page_that_processes_share_counts_once) {
  constexpr std::size_t size = 32U << 20;
  void* const shared = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  const child_process parent([&](int done) {
    fork_bound_to_parent("a child");
    std::memset(shared, 1, size);
    write_byte(done);
    for (;;) ::pause();
  });
  parent.wait_until_done().wait_until_done();
  server_probe probe(parent.pid());
  const server_reading reading = probe.read();
  ::munmap(shared, size);
  EXPECT_GE(reading.rss_bytes, 2 * size);
  if (!reading.pss_bytes) GTEST_SKIP() << "smaps_rollup is not readable";
  EXPECT_GE(*reading.pss_bytes, size);
  EXPECT_LE(*reading.pss_bytes, reading.rss_bytes - size);
}

TEST(server_probe, counts_page_faults_and_estimates_kernel_stacks) {
  constexpr std::size_t pages = 1000;
  const child_process process(
      [](int) {
        const std::size_t size = pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
        void* const fresh = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ::madvise(fresh, size, MADV_NOHUGEPAGE);
        std::memset(fresh, 1, size);
      },
      child_process::start::later);
  server_probe probe(process.pid());
  const server_reading before = probe.read();
  process.go();
  process.wait_until_done();
  const server_reading after = probe.read();
  EXPECT_GE(after.minor_faults - before.minor_faults, pages / 16) << "faults may map several pages each";
  EXPECT_EQ(after.kernel_stack_estimate_bytes(), after.threads * 16384);
  if (after.system_kernel_stack_bytes) {
    EXPECT_GT(*after.system_kernel_stack_bytes, 0U);
  }
}

TEST(server_probe, an_ended_process_keeps_its_last_reading) {
  child_process process([](int) { burn(20ms); });
  process.wait_until_done();
  server_probe probe(process.pid());
  const auto last = probe.cpu().total;
  process.end();
  EXPECT_EQ(probe.cpu().total, last);
  EXPECT_EQ(probe.read().threads, 0U);
  EXPECT_EQ(probe.read().pss_bytes, std::nullopt) << "not readable is not nothing";
  EXPECT_THROW(server_probe gone(999'999'999), std::system_error);
}

}  // namespace
}  // namespace echobench
