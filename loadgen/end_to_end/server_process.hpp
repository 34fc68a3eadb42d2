// A fixture server in a process of its own, for --server-pid: the test that starts echo-load is not the
// server.
#pragma once

#include "common/process.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace echobench {

class server_process {
public:
  // To be made before the test has threads: before any fixture_server of its own.
  explicit server_process(fixture_server::behaviour serve, const std::string& address = "127.0.0.1") {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    pid_ = fork_bound_to_parent("a fixture server");
    if (pid_ == 0) {
      const fixture_server server(std::move(serve), address);
      const std::string where = server.address();
      if (::write(ends[1], where.data(), where.size()) > 0) ::close(ends[1]);
      for (;;) ::pause();
    }
    ::close(ends[1]);
    char text[64];
    const auto size = ::read(ends[0], text, sizeof text);
    EXPECT_GT(size, 0) << "the server did not start";
    if (size > 0) address_.assign(text, static_cast<std::size_t>(size));
    ::close(ends[0]);
  }
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;
  ~server_process() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  const std::string& address() const { return address_; }
  std::string pid() const { return std::to_string(pid_); }

private:
  pid_t pid_ = -1;
  std::string address_;
};

}  // namespace echobench
