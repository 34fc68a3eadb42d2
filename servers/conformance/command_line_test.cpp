// The command line: what is refused, and with which message.
#include "servers/conformance/server_process.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace echobench::testing {
namespace {

struct refusal {
  std::vector<std::string> arguments;
  std::string named;

  std::vector<std::string> command() const {
    std::vector<std::string> all{ECHO_SERVER_PATH};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }
};

TEST(command_line, mistakes_are_named) {
  for (const refusal& wrong : std::vector<refusal>{
           {{}, "--variant"},
           {{"--variant", "nope"}, "nope"},
           {{"--variant", "epoll", "--port", "65536"}, "--port"},
           {{"--variant", "epoll", "--bind", "127.0.0.1", "--bind", "::1", "--bind", "localhost"},
            "127.0.0.1 and localhost are the same"},
           {{"--variant", "epoll", "--threads", "0"}, "--threads"},
           {{"--variant", "epoll", "--threads", "-1"}, "--threads"},
           {{"--variant", "epoll", "--framing", "morse"}, "--framing"},
           {{"--variant", "epoll", "--service", "upper"}, "--service"},
           {{"--variant", "epoll", "--max-sleep", "10"}, "--max-sleep"},
           {{"--variant", "epoll", "--cpus", "x"}, "--cpus"},
           {{"--variant", "epoll", "--frobnicate"}, "--frobnicate"},
           {{"--variant", "epoll", "stray"}, "stray"}}) {
    server_process server(wrong.command());
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 2) << wrong.named;
    EXPECT_NE(report.errors.find(wrong.named), std::string::npos) << report.errors;
    EXPECT_EQ(std::count(report.errors.begin(), report.errors.end(), '\n'), 1) << report.errors;
  }
}

TEST(command_line, what_cannot_be_done_here_is_named) {
  for (const refusal& wrong : std::vector<refusal>{
           {{"--variant", "epoll", "--bind", "203.0.113.1"}, "203.0.113.1"},
           {{"--variant", "epoll", "--bind", "no.such.host.invalid"}, "no.such.host.invalid"},
           {{"--variant", "epoll", "--cpus", "1023"}, "1023"}}) {
    server_process server(wrong.command());
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 1) << wrong.named;
    EXPECT_NE(report.errors.find(wrong.named), std::string::npos) << report.errors;
  }
}

TEST(command_line, every_option_has_help) {
  server_process helper({ECHO_SERVER_PATH, "--help"});
  EXPECT_EQ(helper.wait().status, 0);
}

// A server whose standard streams the shell redirects or closes: ">&-".
std::vector<std::string> with_streams(const std::string& redirections, const std::string& variant) {
  return {"/bin/sh", "-c", "exec \"$0\" \"$@\" " + redirections, ECHO_SERVER_PATH, "--variant", variant,
          "--port",  "0"};
}

TEST(standard_streams, a_server_that_cannot_print_where_it_listens_fails) {
  for (const auto& [redirections, why] : std::vector<std::pair<std::string, std::string>>{
           {">&-", "standard output is closed"},
           {"<&- >&-", "standard output is closed"},
           {">/dev/full", "cannot write to standard output: No space left on device"}}) {
    server_process server(with_streams(redirections, "epoll"));
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 1) << redirections;
    EXPECT_NE(report.errors.find(why), std::string::npos) << redirections << report.errors;
  }
}

TEST(standard_streams, if_closed_their_numbers_are_not_used_for_connections) {
  server_process server(with_streams("<&- 2>&-", "epoll"));
  ASSERT_FALSE(server.listening().is_null());
  for (const char* fd : {"0", "2"}) {
    const auto path = "/proc/" + std::to_string(server.pid()) + "/fd/" + fd;
    EXPECT_EQ(std::filesystem::read_symlink(path), "/dev/null") << fd;
  }
  EXPECT_EQ(server.stop().status, 0);
}

TEST(standard_streams, the_help_and_the_list_are_not_lost_silently) {
  for (const std::string what : {"--help", "--list", "--list=json"}) {
    server_process server({"/bin/sh", "-c", "exec \"$0\" \"$1\" >/dev/full", ECHO_SERVER_PATH, what});
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 1) << what;
    EXPECT_NE(report.errors.find("cannot write to standard output"), std::string::npos) << report.errors;
  }
}

TEST(standard_streams, totals_that_cannot_be_printed_are_an_error) {
  unique_fd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal && ::grantpt(terminal.get()) == 0 && ::unlockpt(terminal.get()) == 0);
  server_process server(with_streams(std::string(">") + ::ptsname(terminal.get()), "epoll"));
  std::array<char, 4096> line;
  ASSERT_GT(::read(terminal.get(), line.data(), line.size()), 0);
  terminal.reset();
  const exit_report report = server.stop();
  EXPECT_EQ(report.status, 1);
  EXPECT_NE(report.errors.find("cannot write to standard output"), std::string::npos) << report.errors;
}

TEST(standard_streams, totals_that_nobody_reads_any_more_are_an_error) {
  server_process server({"/bin/sh", "-c",
                         "(\"$0\" --variant epoll --port 0; echo \"status $?\" >&2) | head -n 1",
                         ECHO_SERVER_PATH});
  ASSERT_FALSE(server.listening().is_null());
  ::kill(server.listening().at("pid").get<pid_t>(), SIGTERM);
  EXPECT_EQ(server.wait().errors, "echo-server: cannot write to standard output: Broken pipe\nstatus 1\n");
}

}  // namespace
}  // namespace echobench::testing
