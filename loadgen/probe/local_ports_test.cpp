#include "loadgen/probe/local_ports.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

namespace echobench {
namespace {

TEST(local_ports, are_those_of_the_range_that_are_not_reserved) {
  char name[] = "/tmp/local-ports-test-XXXXXX";
  const std::filesystem::path root = ::mkdtemp(name);
  std::filesystem::create_directories(root / "sys/net/ipv4");
  EXPECT_EQ(read_local_ports(root), local_ports()) << "what cannot be read is the kernel's default";
  EXPECT_EQ(local_ports().count(), 28'232U);

  std::ofstream(root / "sys/net/ipv4/ip_local_port_range") << "10000\t10099\n";
  EXPECT_EQ(read_local_ports(root).count(), 100U);
  const struct {
    const char* list;
    std::size_t within;
  } table[] = {{"\n", 0},
               {"10000\n", 1},
               {"80,443,9999,10100\n", 0},
               {"10098-10200\n", 2},
               {"1-65535", 100},
               {"10001-10003,10050\n", 4}};
  for (const auto& [list, within] : table) {
    std::ofstream(root / "sys/net/ipv4/ip_local_reserved_ports") << list;
    EXPECT_EQ(read_local_ports(root).reserved, within) << list;
  }
  EXPECT_EQ(describe(read_local_ports(root)),
            "96 local ports (net.ipv4.ip_local_port_range is 10000 to 10099, 4 of them in "
            "net.ipv4.ip_local_reserved_ports)");
  std::filesystem::remove_all(root);
}

TEST(local_ports, those_of_this_host_are_a_range) {
  const auto ports = read_local_ports();
  EXPECT_LE(ports.first, ports.last);
  EXPECT_LE(ports.last, 65'535U);
  EXPECT_THAT(out_of_ports(ports), testing::HasSubstr(std::to_string(ports.count()) + " local ports"));
}

}  // namespace
}  // namespace echobench
