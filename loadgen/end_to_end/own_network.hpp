// A network of a test's own: its addresses, ports and names are nobody else's.
#pragma once

#include "common/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

namespace echobench::own_network {

inline bool write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  return static_cast<bool>(file << text << std::flush);
}

// Puts this process into namespaces of its own: network, mounts, and users where it is not root.
inline bool enter() {
  const auto user = ::getuid();
  const auto group = ::getgid();
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0) return false;
    if (!write_text("/proc/self/setgroups", "deny") ||
        !write_text("/proc/self/uid_map", "0 " + std::to_string(user) + " 1") ||
        !write_text("/proc/self/gid_map", "0 " + std::to_string(group) + " 1"))
      return false;
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  const unique_fd any(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{.ifr_ifrn = {.ifrn_name = "lo"}, .ifr_ifru = {.ifru_flags = IFF_UP | IFF_RUNNING}};
  return ::ioctl(any.get(), SIOCSIFFLAGS, &loopback) == 0;
}

// The loopback interface gets one more address.
inline void add_ipv6_address(const std::string& text) {
  const unique_fd any(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const endpoint address = resolve(text, 0);
  in6_ifreq request{.ifr6_addr = reinterpret_cast<const sockaddr_in6*>(address.address())->sin6_addr,
                    .ifr6_prefixlen = 128,
                    .ifr6_ifindex = static_cast<int>(::if_nametoindex("lo"))};
  ASSERT_EQ(::ioctl(any.get(), SIOCSIFADDR, &request), 0) << text;
}

// 20 of them, from which connections are made; one that was closed is free again at once.
inline void have_twenty_ports() {
  ASSERT_TRUE(write_text("/proc/sys/net/ipv4/ip_local_port_range", "40000 40019"));
  ASSERT_TRUE(write_text("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0"));
}

// Of the processes of this test only.
inline void replace_file(const std::string& path, const std::string& text) {
  char name[] = "/tmp/own-network-test-XXXXXX";
  const unique_fd file(::mkstemp(name));
  ASSERT_TRUE(write_text(name, text));
  std::filesystem::permissions(name, std::filesystem::perms(0644));
  ASSERT_EQ(::mount(name, path.c_str(), nullptr, MS_BIND, nullptr), 0) << path;
  ::unlink(name);
}

// Carries out `body` there, in a process of its own, before the test has threads; what it finds wrong fails
// the test. False: there are no such namespaces here.
inline bool run(const std::function<void()>& body) {
  constexpr int not_here = 77;
  std::fflush(nullptr);  // what it has printed is not printed by two
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter()) ::_exit(not_here);
    try {
      body();
    } catch (const std::exception& thrown) {  // must not reach GoogleTest, which would go on in the child
      ADD_FAILURE() << thrown.what();
    }
    std::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == not_here) return false;
  EXPECT_EQ(status, 0) << "what it found wrong stands above";
  return true;
}

}  // namespace echobench::own_network
