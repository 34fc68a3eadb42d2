#include "loadgen/probe/server_check.hpp"

#include "loadgen/probe/child_process.hpp"
#include "loadgen/probe/listening_sockets.hpp"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

namespace echobench {
namespace {

using testing::AllOf;
using testing::HasSubstr;

endpoint address(const char* text) { return resolve(text); }

TEST(listening_sockets, the_kernel_prefers_the_exact_address_then_ipv4_then_both) {
  const std::string header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt\n";
  const auto row = [](const std::string& local, const std::string& state, int socket) {
    return "   0: " + local + " 00000000:0000 " + state +
           " 00000000:00000000 00:00000000 00000000  1000        0 " + std::to_string(socket) +
           " 1 0000000000000000 100 0 0 10 0\n";
  };
  const std::string any6(32, '0');
  const std::string loopback6 = std::string(24, '0') + "01000000";
  const std::string mapped = std::string(16, '0') + "FFFF00000100007F";
  const std::string established = row("0100007F:1F90", "01", 1);
  const std::string exact = row("0100007F:1F90", "0A", 2) + row("0100007F:1F90", "0A", 3);
  const std::string any = row("00000000:1F90", "0A", 4) + row("00000000:1F91", "0A", 5);
  const std::string v6 = row(loopback6 + ":1F90", "0A", 6) + row(any6 + ":1F90", "0A", 7);

  using inodes = std::set<inode>;
  const auto ipv4 = address("127.0.0.1:8080");
  EXPECT_EQ(sockets_listening_on(ipv4, header + exact + any + established, header + v6), (inodes{2, 3}));
  EXPECT_EQ(sockets_listening_on(ipv4, header, row(mapped + ":1F90", "0A", 8) + v6), inodes{8});
  EXPECT_EQ(sockets_listening_on(ipv4, header + any + established, header + v6), inodes{4});
  EXPECT_EQ(sockets_listening_on(ipv4, established, header + v6), inodes{7});
  EXPECT_EQ(sockets_listening_on(ipv4, established, ""), inodes{});
  const auto ipv6 = address("[::1]:8080");
  EXPECT_EQ(sockets_listening_on(ipv6, exact + any, v6), inodes{6});
  EXPECT_EQ(sockets_listening_on(ipv6, exact + any, row(any6 + ":1F90", "0A", 7)), inodes{7});
  EXPECT_EQ(sockets_listening_on(ipv6, exact + any, "nonsense\n  0: 12\n"), inodes{});
}

// A listening socket on a free port of an address; `::` for both families.
unique_fd listen_anywhere(const char* host) {
  if (std::string(host) != "::") return listen_on(resolve(host, 0), 16, reuse_port::yes);
  unique_fd fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const endpoint any = resolve("::", 0);
  EXPECT_EQ(::bind(fd.get(), any.address(), any.size()), 0);
  EXPECT_EQ(::listen(fd.get(), 16), 0);
  return fd;
}

// A process that listens on `host`; afterwards it does what `more` says.
class listening_process {
public:
  explicit listening_process(
      const char* host, const std::function<void()>& more = [] {})
      : shared_(static_cast<shared*>(
            ::mmap(nullptr, sizeof(shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))),
        process_([this, host, &more](int) {
          static const unique_fd listener = listen_anywhere(host);
          shared_->port = endpoint::local_of(listener.get()).port();
          more();
        }) {
    process_.wait_until_done();
  }
  ~listening_process() { ::munmap(shared_, sizeof(shared)); }

  pid_t pid() const { return process_.pid(); }
  endpoint at(const char* host) const { return resolve(host, shared_->port); }

private:
  struct shared {
    std::uint16_t port;
  };
  shared* shared_;
  child_process process_;
};

std::string refusal(pid_t pid, const endpoint& target) {
  try {
    const auto check = check_server(pid, target);
    ADD_FAILURE() << pid << " was accepted for " << target.to_string() << ": " << check.remark;
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

TEST(server_check, the_process_that_listens_is_the_server_whatever_it_is_bound_to) {
  const struct {
    const char* bound;
    const char* driven;
  } table[] = {{"127.0.0.1", "127.0.0.1"},
               {"0.0.0.0", "127.0.0.1"},
               {"0.0.0.0", "127.9.9.9"},
               {"::1", "::1"},
               {"::", "::1"},
               {"::", "127.0.0.1"}};
  for (const auto& [bound, driven] : table) {
    const listening_process server(bound);
    const auto check = check_server(server.pid(), server.at(driven));
    EXPECT_TRUE(check.verified) << bound << ' ' << driven;
    EXPECT_EQ(check.remark, "") << bound << ' ' << driven;
  }
}

TEST(server_check, another_process_is_refused_by_name_of_the_one_that_listens) {
  const listening_process server("127.0.0.1");
  const child_process other([](int) {});
  const auto target = server.at("127.0.0.1");
  EXPECT_THAT(refusal(other.pid(), target),
              AllOf(HasSubstr("--server-pid " + std::to_string(other.pid()) + ":"),
                    HasSubstr(target.to_string()), HasSubstr("process " + std::to_string(server.pid()))));
  EXPECT_THAT(refusal(server.pid(), listening_process("127.0.0.1").at("127.0.0.1")),
              HasSubstr("does not listen on"))
      << "the server of another target";
}

TEST(server_check, a_process_that_has_started_the_server_counts_with_it) {
  const listening_process server("127.0.0.1", [] {
    if (fork_bound_to_parent("a child") == 0) {
      for (;;) ::pause();
    }
  });
  // The one above listens; its child has the same socket. Below only the child has one.
  EXPECT_EQ(check_server(server.pid(), server.at("127.0.0.1")).remark, "");
  int ports[2];
  ASSERT_EQ(::pipe(ports), 0);
  const child_process wrapper([&](int done) {
    if (fork_bound_to_parent("a child") == 0) {
      const unique_fd listener = listen_anywhere("127.0.0.1");
      const auto port = endpoint::local_of(listener.get()).port();
      EXPECT_EQ(::write(ports[1], &port, sizeof port), static_cast<ssize_t>(sizeof port));
      write_byte(done);
      for (;;) ::pause();
    }
    for (;;) ::pause();
  });
  std::uint16_t port = 0;
  ASSERT_EQ(::read(ports[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  ::close(ports[0]);
  ::close(ports[1]);
  const auto check = check_server(wrapper.pid(), resolve("127.0.0.1", port));
  EXPECT_TRUE(check.verified);
  EXPECT_EQ(check.remark, "");
}

TEST(server_check, one_of_several_that_share_the_port_is_accepted_and_the_others_are_named) {
  const listening_process first("127.0.0.1");
  const auto target = first.at("127.0.0.1");
  const child_process second(
      [&](int) { static const unique_fd fd = listen_on(target, 16, reuse_port::yes); });
  second.wait_until_done();
  for (const auto& [one, other] : {std::pair(first.pid(), second.pid()), {second.pid(), first.pid()}}) {
    const auto check = check_server(one, target);
    EXPECT_TRUE(check.verified);
    EXPECT_THAT(check.remark, AllOf(HasSubstr("process " + std::to_string(other)), HasSubstr("missing")));
  }
}

TEST(server_check, who_started_the_client_is_not_the_server_even_if_it_listens) {
  const unique_fd listener = listen_anywhere("127.0.0.1");
  const auto target = endpoint::local_of(listener.get());
  EXPECT_THAT(refusal(::getpid(), target), HasSubstr("that is this client"));
  EXPECT_THAT(refusal(::getppid(), target), HasSubstr("has started this client"));
  const listening_process server("127.0.0.1");
  EXPECT_THAT(refusal(::getpid(), server.at("127.0.0.1")),
              HasSubstr("process " + std::to_string(server.pid())));
}

TEST(server_check, what_cannot_be_seen_is_not_refused) {
  const child_process other([](int) {});
  const auto unverified = [&](const char* target) {
    const auto check = check_server(other.pid(), address(target));
    EXPECT_FALSE(check.verified);
    return check.remark;
  };
  EXPECT_THAT(unverified("203.0.113.1:80"), HasSubstr("not verified: 203.0.113.1:80 is not an address"));
  EXPECT_THAT(unverified("127.0.0.1:1"), HasSubstr("not verified: no socket that listens on 127.0.0.1:1"));

  const listening_process server("127.0.0.1");
  const child_process elsewhere([](int) {
    EXPECT_TRUE(::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 || errno == EPERM || errno == EINVAL);
  });
  elsewhere.wait_until_done();
  const auto space = [](const std::string& pid) {
    return std::filesystem::read_symlink("/proc/" + pid + "/ns/net");
  };
  if (space(std::to_string(elsewhere.pid())) == space("self")) GTEST_SKIP() << "no network namespaces here";
  const auto check = check_server(elsewhere.pid(), server.at("127.0.0.1"));
  EXPECT_FALSE(check.verified);
  EXPECT_THAT(check.remark, HasSubstr("another network namespace"));
}

TEST(server_check, the_files_of_another_user_are_not_guessed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become another user";
  const listening_process server("127.0.0.1");
  const auto target = server.at("127.0.0.1");
  const pid_t user = ::fork();
  if (user == 0) {
    if (::setresuid(61'234, 61'234, 61'234) != 0) ::_exit(2);
    const child_process mine([](int) {});
    const auto servers = check_server(server.pid(), target);
    const auto check = check_server(mine.pid(), target);
    const bool right = !servers.verified && servers.remark.find("must not be read") != std::string::npos &&
                       !check.verified && check.remark.find("must not be read") != std::string::npos;
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ::waitpid(user, &status, 0);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace echobench
