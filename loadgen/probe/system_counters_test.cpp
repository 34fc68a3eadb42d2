#include "loadgen/probe/system_counters.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace echobench {
namespace {

using namespace std::chrono_literals;

// A /proc that the test writes.
class a_proc : public testing::Test {
protected:
  a_proc() {
    char name[] = "/tmp/system-counters-test-XXXXXX";
    root_ = ::mkdtemp(name);
    std::filesystem::create_directories(root_ / "net");
  }
  ~a_proc() override { std::filesystem::remove_all(root_); }

  void write(const std::string& name, const std::string& text) { std::ofstream(root_ / name) << text; }
  system_counters read() const { return read_system_counters(root_.string()); }

  std::filesystem::path root_;
};

TEST_F(a_proc, is_read_by_name) {
  write("net/netstat",
        "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 22 3\nIpExt: A\nIpExt: 9\n");
  write("net/snmp", "Ip: Forwarding\nIp: 1\nTcp: ActiveOpens RetransSegs\nTcp: 7 4711\n");
  write("stat", "cpu  1 2 3 4 5 6 7 250 0 0\ncpu0 1 2 3 4 5 6 7 99 0 0\n");
  const auto counters = read();
  EXPECT_EQ(counters.listen_overflows, 22U);
  EXPECT_EQ(counters.retransmissions, 4711U);
  EXPECT_EQ(counters.stolen, std::chrono::nanoseconds(250'000'000'000 / ::sysconf(_SC_CLK_TCK)));
}

TEST_F(a_proc, what_is_not_there_is_empty) {
  write("net/netstat", "TcpExt: Other\nTcpExt: 1\n");
  write("stat", "cpu 1 2 3\n");
  const auto counters = read();
  EXPECT_FALSE(counters.listen_overflows);
  EXPECT_FALSE(counters.retransmissions);
  EXPECT_FALSE(counters.stolen);
  EXPECT_FALSE(counters.since({.listen_overflows = 1, .retransmissions = 1, .stolen = 1s}).listen_overflows);
}

TEST(system_counters, differences_are_what_came_since) {
  const system_counters before{.listen_overflows = 5, .retransmissions = 7, .stolen = 1s};
  const system_counters now{.listen_overflows = 6, .retransmissions = 7, .stolen = 3s};
  const auto since = now.since(before);
  EXPECT_EQ(since.listen_overflows, 1U);
  EXPECT_EQ(since.retransmissions, 0U);
  EXPECT_EQ(since.stolen, 2s);
}

TEST(system_counters, this_machine_has_them) {
  const auto counters = read_system_counters();
  EXPECT_TRUE(counters.listen_overflows);
  EXPECT_TRUE(counters.retransmissions);
  EXPECT_TRUE(counters.stolen);
}

}  // namespace
}  // namespace echobench
