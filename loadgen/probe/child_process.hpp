// A process that a test starts.
#pragma once

#include "common/process.hpp"
#include "common/socket.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

namespace echobench {

inline void write_byte(int pipe) { EXPECT_EQ(::write(pipe, "x", 1), 1); }

// It carries out `act` once go() was called, and then waits to be killed.
class child_process {
public:
  enum class start { at_once, later };

  // `act` is given a pipe to write a byte to when it is done; one that returns need not.
  explicit child_process(const std::function<void(int)>& act, start when = start::at_once) {
    int done[2];
    int gate[2];
    EXPECT_EQ(::pipe(done), 0);
    EXPECT_EQ(::pipe(gate), 0);
    done_ = unique_fd(done[0]);
    gate_ = unique_fd(gate[1]);
    pid_ = fork_bound_to_parent("a child");
    if (pid_ == 0) {
      char byte = 0;
      if (::read(gate[0], &byte, 1) == 1) act(done[1]);
      write_byte(done[1]);
      for (;;) ::pause();
    }
    ::close(done[1]);
    ::close(gate[0]);
    if (when == start::at_once) go();
  }
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  ~child_process() { end(); }

  void go() const { write_byte(gate_.get()); }
  const child_process& wait_until_done() const {
    char byte = 0;
    EXPECT_EQ(::read(done_.get(), &byte, 1), 1);
    return *this;
  }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  pid_t pid() const { return pid_; }

private:
  unique_fd done_;
  unique_fd gate_;
  pid_t pid_ = -1;
};

}  // namespace echobench
