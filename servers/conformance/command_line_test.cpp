// The command line: what is refused, and how it is told.
#include "servers/conformance/server_process.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
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
  for (const refusal& wrong :
       std::vector<refusal>{{{}, "--variant"},
                            {{"--variant", "nope"}, "nope"},
                            {{"--variant", "epoll", "--port", "65536"}, "--port"},
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

}  // namespace
}  // namespace echobench::testing
