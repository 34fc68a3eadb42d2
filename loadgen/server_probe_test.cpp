#include "loadgen/server_probe.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <system_error>

namespace echobench {
namespace {

using namespace std::chrono_literals;

// A process that burns CPU, says so by ending its pipe, and waits to be killed.
class burner {
public:
  explicit burner(std::chrono::nanoseconds cpu) {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      timespec used{};
      do ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
      while (std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec) < cpu);
      ::close(ends[0]);
      ::close(ends[1]);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char byte = 0;
    EXPECT_EQ(::read(ends[0], &byte, 1), 0);
    ::close(ends[0]);
  }
  ~burner() { end(); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

private:
  pid_t pid_ = -1;
};

TEST(server_probe, reads_cpu_and_memory_of_a_process) {
  const burner process(30ms);
  server_probe probe(process.pid());
  EXPECT_GE(probe.cpu_at_rest().total, 30ms);
  EXPECT_EQ(probe.cpu_at_rest().total, probe.cpu().total) << "it sleeps";
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
  burner child(50ms);
  self.refresh();
  EXPECT_GE(self.cpu().children - before, 50ms);
  EXPECT_GE(self.cpu().total, self.cpu().children);
  child.end();
  // By the parent's account now, which has the resolution of a clock tick.
  EXPECT_GE(self.cpu().children - before, 30ms);
}

TEST(server_probe, an_ended_process_keeps_its_last_reading) {
  burner process(20ms);
  server_probe probe(process.pid());
  const auto last = probe.cpu().total;
  process.end();
  EXPECT_EQ(probe.cpu().total, last);
  EXPECT_EQ(probe.read().threads, 0U);
  EXPECT_THROW(server_probe gone(999'999'999), std::system_error);
}

}  // namespace
}  // namespace echobench
