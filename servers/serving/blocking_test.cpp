#include "servers/serving/blocking.hpp"

#include "common/process.hpp"
#include "servers/stop_on_signal.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>
#include <vector>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ExitedWithCode;

struct socket_pair {
  socket_pair() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    server = unique_fd(ends[0]);
    peer = unique_fd(ends[1]);
  }
  unique_fd server;
  unique_fd peer;
};

bool writable(int fd) {
  pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&ready, 1, 0) == 1;
}

server_totals serve_until_its_end(int socket, const connection_options& options) {
  const drain_clock drain({}, 1s);
  buffer_pool pool(buffer_pool::use::one_thread);
  connection_state state(options, pool, drain);
  serve_blocking(socket, state, drain);
  server_totals totals;
  state.add_to(totals);
  return totals;
}

// The system takes a little more than poll(2) says.
TEST(serve_blocking, what_fits_into_a_full_buffer_when_time_is_over_is_no_traffic) {
  const socket_pair pair;
  const std::vector<char> part(1000);
  while (writable(pair.server.get())) ::send(pair.server.get(), part.data(), part.size(), MSG_DONTWAIT);
  ASSERT_EQ(::send(pair.server.get(), "x", 1, MSG_DONTWAIT), 1) << "nothing more fits: this proves nothing";
  ASSERT_EQ(::send(pair.peer.get(), "request", 7, 0), 7);
  connection_options options;
  options.session.framing = framing::raw;
  options.idle_timeout = 20ms;
  const server_totals totals = serve_until_its_end(pair.server.get(), options);
  EXPECT_EQ(totals.bytes_in, 7U);
  EXPECT_EQ(totals.bytes_out, 0U);
  EXPECT_EQ(totals.errors[static_cast<std::size_t>(server_error::idle_timeout)], 1U);
}

// In a process of its own, which the last of the signals would end if it did not wake all threads, wherever
// they were when the first one came.
[[noreturn]] void stop_threads_by(int signal, unsigned count) {
  ::alarm(60);
  ::signal(SIGHUP, SIG_DFL);  // whatever nohup(1) has done to this process
  const stop_on_signal stop(block_stop_signals(), stop_on_signal::by::handler);
  {
    interrupter wakes(stop.token());
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < count; ++i) {
      threads.emplace_back([&] {
        const interrupter::registration registered(wakes);
        const socket_pair pair;
        char byte = 0;
        while (!stop.token().stop_requested()) EXPECT_LT(::recv(pair.server.get(), &byte, 1, 0), 0);
      });
    }
    const stop_on_signal::allowed interruptible;
    ::kill(::getpid(), signal);
    const socket_pair pair;
    char byte = 0;
    while (!stop.token().stop_requested()) ::recv(pair.server.get(), &byte, 1, 0);
  }
  std::_Exit(::testing::Test::HasFailure() ? 1 : 0);
}

TEST(interrupter, wakes_this_thread_and_all_that_are_registered) {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    for (const unsigned count : {0U, 1U, 20U}) {
      EXPECT_EXIT(stop_threads_by(signal, count), ExitedWithCode(0), "") << signal << " " << count;
    }
  }
}

}  // namespace
}  // namespace echobench::testing
