// The servers on io_uring, in this process, so that its ring can be looked at.
#include "common/process.hpp"
#include "common/socket.hpp"
#include "servers/serving/listener.hpp"
#include "servers/serving/wrapped_liburing.hpp"
#include "servers/variants.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

namespace echobench::testing {
namespace {

constexpr std::size_t period = 9973;  // bytes, of what clients send: no power of two divides it

bool becomes_ready(const unique_fd& socket, short events,
                   std::chrono::nanoseconds within = std::chrono::minutes(1)) {
  pollfd waiting{.fd = socket.get(), .events = events, .revents = 0};
  return ::poll(&waiting, 1, static_cast<int>(within / std::chrono::milliseconds(1))) == 1;
}

struct clients_load {
  unsigned connections;
  std::size_t bytes;    // that each connection sends
  std::size_t piece;    // bytes that it sends at a time, at most a period
  std::size_t at_once;  // pieces that have not come back
};

// Raw framing: every byte comes back.
class server_on_io_uring : public ::testing::TestWithParam<const variant*> {
protected:
  void SetUp() override {
    if (const auto reason = GetParam()->unavailable_reason(); !reason.empty()) GTEST_SKIP() << reason;
    while (text.size() < 2 * period) text += static_cast<char>(text.size() % period * 7 / 3);
  }

  // Starts the server, lets the clients do that much work, compares what comes back, and stops the server.
  void serve(const clients_load& load) {
    server_options options;
    options.connection.session.framing = framing::raw;
    const auto server = GetParam()->make(options);
    server_outcome outcome;
    {
      std::jthread thread([&](const std::stop_token& stop) { outcome = server->run(stop, [] {}); });
      drive(server->listeners().endpoints().front(), load);
      release();
    }
    EXPECT_EQ(outcome.totals.accepted, load.connections);
    EXPECT_EQ(outcome.totals.bytes_in, load.connections * load.bytes);
    EXPECT_EQ(outcome.totals.bytes_out, load.connections * load.bytes);
    EXPECT_EQ(outcome.totals.errors, server_totals().errors);
  }

  // From now on the server is held where it submits, until its clients can send no more.
  void hold() { held_ = true; }
  void wait_while_held() const { held_.wait(true); }

  wrapped_liburing wrapped;

private:
  void release() {
    held_ = false;
    held_.notify_all();
  }

  struct connection {
    unique_fd socket;
    std::size_t sent = 0;
    std::size_t received = 0;
  };

  std::string_view text_at(std::size_t position) const {
    return std::string_view(text).substr(position % period, period);
  }

  void drive(const endpoint& server, const clients_load& load) {
    std::vector<connection> connections(load.connections);
    std::vector<pollfd> events(load.connections);
    for (unsigned i = 0; i < load.connections; ++i) {
      connections[i].socket = start_connect(server, nullptr);
      ASSERT_TRUE(connections[i].socket) << errno;
    }
    for (std::size_t open = load.connections; open > 0;) {
      open = 0;
      for (unsigned i = 0; i < load.connections; ++i) {
        const connection& conn = connections[i];
        const bool sends =
            conn.sent < load.bytes && conn.sent - conn.received <= (load.at_once - 1) * load.piece;
        const bool done = conn.received == load.bytes;
        events[i] = {.fd = done ? -1 : conn.socket.get(),
                     .events = static_cast<short>(POLLIN | (sends ? POLLOUT : 0)),
                     .revents = 0};
        if (!done) ++open;
      }
      constexpr int quiet = 100;  // ms: nothing more can be sent, unless this machine is very busy
      if (held_ && ::poll(events.data(), events.size(), quiet) == 0) release();
      ASSERT_TRUE(open == 0 || ::poll(events.data(), events.size(), 60'000) > 0)
          << "nothing came for a minute";
      for (unsigned i = 0; i < load.connections; ++i) {
        if ((events[i].revents & POLLOUT) != 0) send(connections[i], load);
        const bool same = (events[i].revents & POLLIN) == 0 || receive(connections[i]);
        ASSERT_TRUE(same) << "connection " << i << " behind " << connections[i].received << " bytes";
        ASSERT_EQ(events[i].revents & (POLLERR | POLLHUP), 0) << "connection " << i;
      }
    }
  }

  void send(connection& conn, const clients_load& load) const {
    const auto part = text_at(conn.sent).substr(0, std::min(load.bytes - conn.sent, load.piece));
    const ssize_t n = ::send(conn.socket.get(), part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) conn.sent += static_cast<std::size_t>(n);
  }

  bool receive(connection& conn) const {
    std::string got(period, '\0');
    const ssize_t n = ::recv(conn.socket.get(), got.data(), got.size(), MSG_DONTWAIT);
    if (n <= 0) return false;
    got.resize(static_cast<std::size_t>(n));
    if (!text_at(conn.received).starts_with(got)) return false;
    conn.received += got.size();
    return true;
  }

  std::string text;
  std::atomic<bool> held_ = false;
};

std::string name_of(const ::testing::TestParamInfo<const variant*>& info) {
  std::string name(info.param->about.name);
  std::ranges::replace(name, '-', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(models, server_on_io_uring,
                         ::testing::Values(&variants::io_uring, &variants::coroutine_uring), name_of);

TEST_P(server_on_io_uring, answers_with_the_same_bytes_whatever_submissions_fail) {
  unsigned calls = 0;
  wrapped.submits = [&](unsigned entries) {
    ++calls;
    return calls % 5 == 0 ? 0 : calls % 3 == 0 ? (entries + 1) / 2 : entries;
  };
  serve({.connections = 100, .bytes = 30'000, .piece = 900, .at_once = 1});
  serve({.connections = 100, .bytes = 300'000, .piece = 4096, .at_once = 10});
  EXPECT_GT(wrapped.incomplete, 20U);
}

TEST_P(server_on_io_uring, streams_do_not_run_out_of_buffers) {
  // While the server is kept from its CPU, its clients fill all buffers at once: one run of three is enough.
  bool enough = false;
  for (int i = 0; i < 3 && !enough; ++i) {
    wrapped.without_a_buffer = 0;
    wrapped.completions = 0;
    wrapped.end_of_completions = 0;
    serve({.connections = 300, .bytes = 500'000, .piece = 8192, .at_once = 32});
    enough = wrapped.without_a_buffer * 100 < wrapped.completions;
  }
  EXPECT_TRUE(enough) << wrapped.without_a_buffer << " of " << wrapped.completions;
}

// A reply that was sent silently is reported when something else happens: here, when the time has passed. So
// that nothing else does, what it is compared with idles at another server. One time of three is enough: a
// machine may stall.
TEST_P(server_on_io_uring, a_connection_idles_from_its_reply_on) {
  wrapped_liburing::present = nullptr;  // which counts for one ring at a time
  server_options options;
  options.connection.session.framing = framing::raw;
  options.connection.idle_timeout = std::chrono::milliseconds(600);
  const auto server = GetParam()->make(options);
  const auto other = GetParam()->make(options);
  const auto start = [](any_server& serves) {
    return std::jthread([&serves](const std::stop_token& stop) { serves.run(stop, [] {}); });
  };
  const std::jthread thread = start(*server);
  const std::jthread other_thread = start(*other);
  bool in_time = false;
  for (int i = 0; i < 3 && !in_time; ++i) {
    const unique_fd answered = start_connect(server->listeners().endpoints().front(), nullptr);
    ASSERT_TRUE(becomes_ready(answered, POLLOUT));
    char byte = 'x';
    ASSERT_EQ(::send(answered.get(), &byte, 1, MSG_NOSIGNAL), 1);
    ASSERT_TRUE(becomes_ready(answered, POLLIN));
    ASSERT_EQ(::recv(answered.get(), &byte, 1, 0), 1);
    const unique_fd silent = start_connect(other->listeners().endpoints().front(), nullptr);
    ASSERT_TRUE(becomes_ready(silent, POLLIN));
    in_time = becomes_ready(answered, POLLIN, options.connection.idle_timeout / 2);
  }
  EXPECT_TRUE(in_time);
}

// All that they send at once needs more buffers than there are, and more entries than the ring holds. Each
// time that the kernel is entered, something must have been done.
TEST_P(server_on_io_uring, enters_the_kernel_for_something_however_many_connections_stream) {
  raise_descriptor_limit();
  wrapped.submits = [&](unsigned entries) {
    wait_while_held();
    return entries;
  };
  hold();
  serve({.connections = 1500, .bytes = 64 * 1024, .piece = 8192, .at_once = 8});
  EXPECT_LT(wrapped.calls, wrapped.completions - wrapped.without_a_buffer);
  EXPECT_LT(wrapped.without_a_buffer, 2 * 1500U);
}

}  // namespace
}  // namespace echobench::testing
