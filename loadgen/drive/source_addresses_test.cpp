#include "loadgen/drive/source_addresses.hpp"

#include "loadgen/probe/host_addresses.hpp"

#include <gmock/gmock.h>

#include <set>
#include <string>

namespace echobench {
namespace {

constexpr std::size_t ports_of_each = 80;  // of which 70 are taken where there are more addresses

std::vector<endpoint> usual_host() {
  return {resolve("127.0.0.1", 0), resolve("::1", 0), resolve("fd00::7", 0), resolve("192.0.2.9", 0)};
}

std::vector<std::string> texts(const source_addresses& of) {
  std::vector<std::string> all;
  for (const endpoint& address : of.addresses) all.push_back(address.to_string());
  return all;
}

TEST(source_addresses, few_connections_come_from_where_the_system_chooses) {
  for (const char* target : {"127.0.0.1:80", "[::1]:80", "192.0.2.9:80", "203.0.113.1:80", "[fd00::99]:80"}) {
    const auto sources = plan_sources(resolve(target), 70, ports_of_each, usual_host());
    EXPECT_TRUE(sources.addresses.empty()) << target;
    EXPECT_EQ(sources.reach, ports_of_each) << target;
  }
}

TEST(source_addresses, many_come_from_addresses_of_the_targets_family) {
  EXPECT_THAT(texts(plan_sources(resolve("127.0.0.1:80"), 71, ports_of_each, usual_host())),
              testing::ElementsAre("127.0.1.0:0", "127.0.1.1:0"));
  EXPECT_THAT(texts(plan_sources(resolve("192.0.2.9:80"), 211, ports_of_each, usual_host())),
              testing::SizeIs(4))
      << "an address of this host can be reached from its loopback addresses";
  for (const char* target : {"[::1]:80", "[fd00::7]:80"}) {
    const auto sources = plan_sources(resolve(target), 71, ports_of_each, usual_host());
    EXPECT_THAT(texts(sources), testing::ElementsAre("[::1]:0", "[fd00::7]:0")) << target;
    EXPECT_EQ(sources.reach, 2 * ports_of_each) << target;
  }
}

TEST(source_addresses, what_they_cannot_reach_is_reported) {
  const std::vector<endpoint> single{resolve("127.0.0.1", 0), resolve("::1", 0)};
  EXPECT_EQ(plan_sources(resolve("[::1]:80"), 1000, ports_of_each, single).reach, ports_of_each);
  EXPECT_EQ(plan_sources(resolve("[::1]:80"), 1000, ports_of_each, usual_host()).reach, 2 * ports_of_each);
  EXPECT_GE(plan_sources(resolve("127.0.0.1:80"), 1'000'000, ports_of_each, usual_host()).reach, 1'000'000U);
  for (const char* target : {"203.0.113.1:80", "[fd00::99]:80"}) {
    const auto elsewhere = plan_sources(resolve(target), 1000, ports_of_each, usual_host());
    EXPECT_EQ(elsewhere.reach, ports_of_each) << target;
    EXPECT_TRUE(elsewhere.addresses.empty()) << target;
  }
}

TEST(host_addresses, are_this_hosts_and_can_be_bound) {
  const auto host = host_addresses();
  ASSERT_FALSE(host.empty());
  for (const endpoint& address : host) {
    EXPECT_TRUE(listen_on(address, 1, reuse_port::no)) << address.to_string();
  }
  EXPECT_TRUE(is_of_this_host(resolve("127.0.0.1:80"), host));
  EXPECT_TRUE(is_of_this_host(resolve("127.1.2.3:80"), {}));
  EXPECT_FALSE(is_of_this_host(resolve("203.0.113.1:80"), host));
  EXPECT_FALSE(is_of_this_host(resolve("[2001:db8::1]:80"), host));
}

}  // namespace
}  // namespace echobench
