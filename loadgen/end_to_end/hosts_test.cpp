// Where the servers are, and from where they are reached: names, addresses, ports, processes, CPUs.
#include "common/process.hpp"
#include "common/socket.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/own_network.hpp"
#include "loadgen/end_to_end/program.hpp"
#include "loadgen/end_to_end/server_process.hpp"
#include "loadgen/probe/child_process.hpp"

#include <gmock/gmock.h>
#include <sys/time.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

// The server's process.

TEST(hosts, the_process_that_listens_is_verified) {
  const server_process server(behaviours::echo_frames);
  program run(briefly({"--server-pid", server.pid(), server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["server"]["pid_verified"], true);
  EXPECT_THAT(run.out(), Not(HasSubstr("verified:")));
}

TEST(hosts, a_process_that_is_not_the_server_is_refused_before_anything_is_measured) {
  const server_process server(behaviours::echo_frames);
  const server_process other(behaviours::echo_frames);
  for (const auto& pid : {other.pid(), std::to_string(::getpid())}) {
    program run(briefly({"--server-pid", pid, server.address()}));
    EXPECT_EQ(run.wait(), exit_usage) << pid;
    EXPECT_THAT(run.err(), AllOf(HasSubstr("--server-pid " + pid), HasSubstr(server.address()),
                                 HasSubstr("process " + server.pid())));
  }
  program swapped(briefly(
      {"--server-pid", server.pid(), "--server-pid", other.pid(), other.address(), server.address()}));
  EXPECT_EQ(swapped.wait(), exit_usage);
  EXPECT_THAT(swapped.err(), HasSubstr("process " + other.pid()));
}

TEST(hosts, a_process_that_cannot_be_verified_is_a_remark_of_the_result) {
  const server_process server(behaviours::echo_frames);
  const child_process elsewhere([](int) { own_network::enter(); });
  elsewhere.wait_until_done();
  const auto space = [](const std::string& pid) {
    return std::filesystem::read_symlink("/proc/" + pid + "/ns/net");
  };
  if (space(std::to_string(elsewhere.pid())) == space("self")) GTEST_SKIP() << "no network namespaces here";
  program run(briefly({"--server-pid", std::to_string(elsewhere.pid()), server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["server"]["pid_verified"], false);
  EXPECT_THAT(run.cell()["reasons"].dump(), HasSubstr("is not verified: "));
  EXPECT_THAT(run.out(), HasSubstr("is not verified: "));
}

// Ports.

TEST(hosts, each_target_is_connected_to_from_addresses_of_its_family) {
  const bool possible = own_network::run([] {
    own_network::have_twenty_ports();
    own_network::add_ipv6_address("fd00:1::1");
    fixture_server ipv4(behaviours::echo_frames, "127.0.0.1", 5000);
    fixture_server ipv6(behaviours::echo_frames, "::1", 5001);
    for (const bool swapped : {false, true}) {
      const std::string first = (swapped ? ipv6 : ipv4).address();
      const std::string second = (swapped ? ipv4 : ipv6).address();
      program run(briefly({"-c", "30", "-t", "2", "--rounds", "1", first, second}));
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      ipv4.wait_until_left();
      ipv6.wait_until_left();
      const json result = run.result();
      for (const json& cell : result["cells"]) {
        EXPECT_EQ(cell["connections"]["opened"], 30) << cell["target"];
        EXPECT_EQ(cell["errors"], json::object()) << cell["target"];
      }
    }
    program twice(briefly({"-c", "15", "--rounds", "1", "a=" + ipv4.address(), "b=" + ipv4.address()}));
    EXPECT_EQ(twice.wait(), exit_ok) << twice.err();
    const json result = twice.result();
    for (const json& cell : result["cells"]) EXPECT_EQ(cell["errors"], json::object()) << cell["variant"];
  });
  if (!possible) GTEST_SKIP() << "no network namespaces here";
}

TEST(hosts, more_connections_than_ports_are_refused_with_the_number_that_can_be) {
  const bool possible = own_network::run([] {
    own_network::have_twenty_ports();
    program alone(briefly({"-c", "21", "[::1]:5001"}));
    EXPECT_EQ(alone.wait(), exit_usage);
    EXPECT_THAT(alone.err(), AllOf(HasSubstr("--connections 21"), HasSubstr("at most 20 "),
                                   HasSubstr("[::1]:5001"), HasSubstr("ip_local_port_range")));
    program elsewhere(briefly({"-c", "15", "--idle-connections", "6", "203.0.113.1:5001"}));
    EXPECT_EQ(elsewhere.wait(), exit_usage);
    EXPECT_THAT(elsewhere.err(), AllOf(HasSubstr("--idle-connections 6"), HasSubstr("at most 20 "),
                                       HasSubstr("several hosts")));
    program twice(briefly({"-c", "11", "a=[::1]:5001", "b=[::1]:5001"}));
    EXPECT_EQ(twice.wait(), exit_usage);
    EXPECT_THAT(twice.err(), AllOf(HasSubstr("2 of the TARGETs"), HasSubstr("at most 10 ")));
  });
  if (!possible) GTEST_SKIP() << "no network namespaces here";
}

// Each in a network of its own: what one run has closed may hold its ports for a while.
TEST(hosts, a_host_that_is_out_of_ports_says_so) {
  for (const char* kind : {"rr", "crr", "none"}) {
    const bool possible = own_network::run([kind] {
      own_network::have_twenty_ports();
      fixture_server server(behaviours::echo_frames, "127.0.0.1", 5000);
      const bool some = kind != std::string("none");
      std::vector<connect_attempt> held;
      for (int i = 0; i < (some ? 15 : 20); ++i) {
        held.push_back(connect_within(resolve(server.address()), 5s));
        EXPECT_TRUE(held.back().fd) << i;
      }
      if (!some) {
        program run(briefly({server.address()}));
        EXPECT_EQ(run.wait(), exit_failed);
        EXPECT_THAT(run.err(), AllOf(HasSubstr("20 local ports"), Not(HasSubstr("nothing listens"))));
        return;
      }
      program run(briefly({"-c", "10", "--workload", kind, server.address()}));
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      EXPECT_EQ(run.cell()["errors"], (json{{"no-port", 5}})) << kind;
      EXPECT_THAT(run.cell()["reasons"][0].get<std::string>(),
                  AllOf(HasSubstr("5 connection(s)"), HasSubstr("20 local ports"),
                        HasSubstr("40000 to 40019"), Not(HasSubstr("is the server there"))));
    });
    if (!possible) GTEST_SKIP() << "no network namespaces here";
  }
}

TEST(hosts, a_network_that_cannot_be_reached_is_not_a_server_that_is_missing) {
  const bool possible = own_network::run([] {
    program run(briefly({"203.0.113.1:5000"}));
    EXPECT_EQ(run.wait(), exit_failed);
    EXPECT_THAT(run.err(), HasSubstr("Network is unreachable"));
    EXPECT_THAT(run.cell()["reasons"][0].get<std::string>(),
                AllOf(HasSubstr("could not be opened: Network is unreachable"), Not(HasSubstr("backlog"))));
  });
  if (!possible) GTEST_SKIP() << "no network namespaces here";
}

// Names.

TEST(hosts, an_unknown_host_is_named) {
  program run(briefly({"no.such.host.invalid:80"}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), AllOf(HasSubstr("no.such.host.invalid"), Not(HasSubstr("Cannot assign"))));
}

TEST(hosts, the_addresses_of_a_name_are_tried_in_turn_and_the_one_that_is_taken_is_reported) {
  const bool possible = own_network::run([] {
    own_network::replace_file("/etc/hosts",
                              "127.0.0.1 several.test\n127.0.0.2 several.test\n::1 several.test\n");
    if (resolve_all("several.test:80").size() != 3) GTEST_SKIP() << "/etc/hosts is not looked at first";
    for (const char* address : {"127.0.0.1", "127.0.0.2", "::1"}) {
      fixture_server server(behaviours::echo_frames, address, 5000);
      program run(briefly({"several.test:5000"}));
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      const json cell = run.cell();
      EXPECT_EQ(cell["target"], "several.test:5000");
      EXPECT_EQ(cell["address"], server.address());
      EXPECT_EQ(cell["addresses"], 3);
      EXPECT_EQ(cell["errors"], json::object());
      EXPECT_THAT(run.out(), HasSubstr("connected to " + server.address() + ", one of 3 addresses"));
      if (address == std::string("::1")) {
        EXPECT_EQ(cell["refused_addresses"].size(), 2U);
        EXPECT_THAT(run.out(), HasSubstr("127.0.0.2:5000: Connection refused"));
      }
    }
    program nobody(briefly({"several.test:5000"}));
    EXPECT_EQ(nobody.wait(), exit_failed);
    EXPECT_THAT(nobody.err(), AllOf(HasSubstr("several.test:5000"), HasSubstr("nothing listens there")));
    EXPECT_EQ(nobody.cell()["errors"], (json{{"refused", 5}}));
  });
  if (!possible) GTEST_SKIP() << "no network namespaces here";
}

// A name server that never answers.
class silent_resolver {
public:
  silent_resolver() : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    own_network::replace_file("/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:2\n");
    const endpoint where = resolve("127.0.0.1", 53);
    EXPECT_EQ(::bind(socket_.get(), where.address(), where.size()), 0);
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  bool wait_until_asked() const {
    char query[512];
    return ::recv(socket_.get(), query, sizeof query, 0) > 0;
  }

private:
  unique_fd socket_;
};

TEST(hosts, a_signal_ends_the_program_while_a_name_is_looked_up) {
  const bool possible = own_network::run([] {
    const silent_resolver resolver;
    for (const char* wait : {"0", "10m"}) {
      program run(briefly({"--ceiling", "50ms", "--wait", wait, "silent.test:5000"}));
      if (!resolver.wait_until_asked()) GTEST_SKIP() << "names are not looked up by DNS";
      run.signal(SIGTERM);
      EXPECT_EQ(run.wait(), -SIGTERM) << "it waited for the name server";
    }
  });
  if (!possible) GTEST_SKIP() << "no network namespaces here";
}

TEST(hosts, a_look_up_lets_signals_through_that_are_blocked_otherwise) {
  const bool possible = own_network::run([] {
    const silent_resolver resolver;
    const pid_t asking = ::fork();
    if (asking == 0) {
      block_stop_signals();
      try {
        resolve("silent.test:5000");
      } catch (const std::system_error&) {
      }
      ::_exit(0);
    }
    const bool asked = resolver.wait_until_asked();
    ::kill(asking, asked ? SIGTERM : SIGKILL);
    int status = 0;
    EXPECT_EQ(::waitpid(asking, &status, 0), asking);
    if (!asked) GTEST_SKIP() << "names are not looked up by DNS";
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM) << status;
  });
  if (!possible) GTEST_SKIP() << "no network namespaces here";
}

// A server that starts later.

TEST(hosts, a_server_that_starts_later_is_waited_for) {
  const unserved_address later;
  const int listener = later.fd();
  program run(briefly({"--wait", "60s", "-c", "3", later.to_string()}));
  const timeval patience{.tv_sec = 60, .tv_usec = 0};
  ::setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::this_thread::sleep_for(500ms);  // long enough for some attempts in vain
  ASSERT_EQ(::listen(listener, 16), 0);
  std::vector<std::jthread> serving;
  for (int i = 0; i < 1 + 3; ++i) {  // one that tries whether it is there
    serving.emplace_back([fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC)] {
      fixture_server::connection peer(fd, 0);
      behaviours::echo_frames(peer);
      ::close(fd);
    });
  }
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["errors"], json::object());
  EXPECT_EQ(run.cell()["connections"]["served"], 3);
}

TEST(hosts, a_server_that_does_not_start_is_reported_when_the_time_has_passed) {
  const unserved_address nobody;
  fixture_server good(behaviours::echo_frames);
  program run(briefly({"--wait", "150ms", good.address(), "late=" + nobody.to_string()}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), AllOf(HasSubstr("late"), HasSubstr("--wait 150ms"), HasSubstr(nobody.to_string()),
                               HasSubstr("Connection refused")));
}

// CPUs.

TEST(hosts, a_cpu_that_is_missing_is_refused_although_another_one_is_there) {
  const std::string cpus = "0,1023";
  program run(briefly({"--cpus", cpus, "127.0.0.1:1"}));
  EXPECT_EQ(run.wait(), exit_usage);
  EXPECT_THAT(run.err(), AllOf(HasSubstr("--cpus " + cpus), HasSubstr("1023: this process may use CPU ")));
}

}  // namespace
}  // namespace echobench
