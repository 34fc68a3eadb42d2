// Every verdict from its real cause, and none from what is no cause.
#include "common/cpu.hpp"
#include "common/frame.hpp"
#include "common/socket.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

std::string reasons_of(const json& cell) {
  std::string all;
  for (const json& reason : cell["reasons"]) all += reason.get<std::string>() + '\n';
  return all;
}

// Lets a program run for so long of every 100 ms.
void throttle(const program& run, std::chrono::milliseconds running) {
  while (!run.ended()) {
    std::this_thread::sleep_for(running);
    run.signal(SIGSTOP);
    std::this_thread::sleep_for(100ms - running);
    run.signal(SIGCONT);
  }
}

// Sleeps as long as a request asks for.
const fixture_server::behaviour sleeping = behaviours::tamper([](std::size_t, std::size_t, message reply) {
  const auto header = decode_header(std::span(reply).first<frame_header_size>());
  if (header.op == frame_op::sleep) std::this_thread::sleep_for(std::chrono::microseconds(header.param));
  return reply;
});

// Processes that use up a CPU.
class busy_loops {
public:
  busy_loops(std::size_t count, unsigned cpu) {
    while (pids_.size() < count) {
      const pid_t pid = fork_bound_to_parent("a busy loop");
      if (pid == 0) {
        restrict_to_cpus({cpu});
        for (volatile bool on = true; on;) {
        }
      }
      pids_.push_back(pid);
    }
  }
  ~busy_loops() {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }

private:
  std::vector<pid_t> pids_;
};

// A control group with a limit on its CPU time, where this process may make one.
class cpu_quota {
public:
  explicit cpu_quota(int percent) {
    namespace fs = std::filesystem;
    const std::string name = "echo-load-test-" + std::to_string(::getpid());
    std::error_code failed;
    for (const fs::path root : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup"}) {
      if (!fs::create_directory(root / name, failed)) continue;
      folder_ = root / name;
      const auto quota = std::to_string(percent * 1000);
      std::ofstream(folder_ / "cpu.cfs_quota_us") << quota;
      std::ofstream(folder_ / "cpu.max") << quota << " 100000";
      for (const char* file : {"cpu.cfs_quota_us", "cpu.max"}) {
        std::string set;
        std::ifstream(folder_ / file) >> set;
        has_ = has_ || set == quota;
      }
      if (has_) return;
      fs::remove(folder_, failed);
    }
  }
  ~cpu_quota() {
    std::error_code in_use;
    for (int i = 0; i < 1000 && !std::filesystem::remove(folder_, in_use) && in_use; ++i) {
      std::this_thread::sleep_for(1ms);
    }
  }

  bool has() const { return has_; }
  // For a shell that is to be in it.
  std::string join() const { return "echo $$ > " + (folder_ / "cgroup.procs").string() + ";"; }

private:
  std::filesystem::path folder_;
  bool has_ = false;
};

// The load of a table: one loop or the other, by a client that sleeps or polls.
std::vector<std::vector<std::string>> all_loops() {
  return {{}, {"--busy-poll"}, {"-R", "200"}, {"-R", "200", "--busy-poll"}};
}

std::vector<std::string> together(std::vector<std::string> some, const std::vector<std::string>& more) {
  some.insert(some.end(), more.begin(), more.end());
  return some;
}

TEST(verdicts, a_healthy_run_gets_none) {
  fixture_server server(behaviours::answering_after(2ms));
  for (const char* rate : {"closed", "100"}) {
    auto arguments = briefly({"-d", "500ms", server.address()});
    if (rate != std::string("closed")) arguments.insert(arguments.end(), {"-R", rate});
    json cell = json::object();
    for (int attempt = 0; attempt < 8 && cell.value("verdict", "") != "valid"; ++attempt) {
      program run(
          arguments);  // on a machine that is busy otherwise the client may really be kept from running
      ASSERT_EQ(run.wait(), exit_ok) << run.err();
      cell = run.cell();
    }
    const bool kept_from_running = cell["client_kept_away"] > 0.05 || cell["client_busy"] > 0.8 ||
                                   cell.value("schedule_adherence", 1.0) < 0.95;
    EXPECT_TRUE(cell["verdict"] == "valid" || (kept_from_running && cell["verdict"] == "client-bound"))
        << cell["verdict"] << '\n'
        << reasons_of(cell);
    EXPECT_GT(cell["effective_concurrency"], rate == std::string("closed") ? 4.0 : 0.1);
  }
}

TEST(verdicts, a_server_that_changes_a_byte) {
  fixture_server server(behaviours::tamper([](std::size_t connection, std::size_t number, message reply) {
    if (connection == 2 && number == 2) reply.back() ^= std::byte{1};
    return reply;
  }));
  program run(briefly({server.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  EXPECT_EQ(run.cell()["verdict"], "wrong-replies");
  EXPECT_THAT(reasons_of(run.cell()), HasSubstr("bytes differ"));
}

TEST(verdicts, a_server_that_serves_some_and_not_others) {
  fixture_server server(
      [](auto& peer) { peer.number() < 3 ? behaviours::echo_frames(peer) : behaviours::never_answer(peer); });
  program run(briefly({"-c", "30", "--timeout", "500ms", "--warmup", "0", server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["verdict"], "errors") << "outranks starved";
  EXPECT_EQ(cell["errors"], (json{{"timeout", 27}}));
  EXPECT_THAT(reasons_of(cell), HasSubstr("27 of 30 connections got no reply"));
  EXPECT_GE(cell["longest_wait"]["ns"], 500'000'000);
  EXPECT_EQ(cell["slowest_connection"]["replies"], 0);
  EXPECT_GE(cell["slowest_connection"]["connection"], 3);
}

TEST(verdicts, a_server_that_serves_some_much_more_than_others) {
  fixture_server server(behaviours::tamper([](std::size_t connection, std::size_t, message reply) {
    std::this_thread::sleep_for(connection < 2 ? 1ms : 50ms);
    return reply;
  }));
  program run(briefly({"-c", "10", "-d", "1s", server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_THAT(run.cell()["verdict"].get<std::string>(), testing::AnyOf("starved", "client-bound"))
      << "the second of a client that is kept from running: it outranks the first";
  EXPECT_THAT(reasons_of(run.cell()), HasSubstr("spread unevenly"));
}

TEST(verdicts, a_client_that_is_kept_from_running_in_the_closed_loop) {
  fixture_server server(behaviours::echo_frames);
  program run(briefly({"-d", "1500ms", "--warmup", "100ms", "--busy-poll", server.address()}));
  throttle(run, 3ms);
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["verdict"], "client-bound") << run.cell()["client_busy"];
  EXPECT_THAT(run.out(), HasSubstr(">="));
}

TEST(verdicts, a_client_that_is_kept_from_running_in_the_open_loop) {
  fixture_server server(behaviours::echo_frames);
  program run(briefly({"-d", "1500ms", "-R", "500", server.address()}));
  throttle(run, 20ms);
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["verdict"], "client-bound");
  EXPECT_LT(run.cell()["schedule_adherence"], 0.95);
  EXPECT_THAT(reasons_of(run.cell()), HasSubstr("of the sends were on schedule"));
}

TEST(verdicts, a_client_that_was_stopped_for_half_of_the_time) {
  for (const auto& loop : all_loops()) {
    // A stall of this process may make the stop begin so late that the client's time is over before its end.
    EXPECT_TRUE(one_of_three([&] {
      fixture_server server(behaviours::echo_frames);
      program run(together({"-c", "1", "-d", "3s", "--warmup", "100ms", server.address()}, loop));
      server.wait_until_asked();
      std::this_thread::sleep_for(500ms);
      const auto stopped = std::chrono::steady_clock::now();
      run.signal(SIGSTOP);
      std::this_thread::sleep_for(1500ms);
      const std::chrono::nanoseconds away = std::chrono::steady_clock::now() - stopped;
      run.signal(SIGCONT);
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      EXPECT_EQ(run.cell()["verdict"], "client-bound") << testing::PrintToString(loop);
      EXPECT_THAT(reasons_of(run.cell()), HasSubstr("kept from its CPU")) << testing::PrintToString(loop);
      const double kept_away = run.cell()["client_kept_away"];
      EXPECT_LE(kept_away, 1.0);
      return kept_away * run.cell()["elapsed_ns"].get<double>() >= 0.9 * static_cast<double>(away.count());
    })) << testing::PrintToString(loop);
  }
}

TEST(verdicts, a_client_with_a_quota_of_a_fifth_of_a_cpu) {
  const cpu_quota quota(20);
  if (!quota.has()) GTEST_SKIP() << "no control group with a CPU quota can be made here";
  fixture_server server(behaviours::echo_frames);
  // At 200 requests a second such a client can do with its quota, unless it polls.
  for (const auto& loop :
       std::vector<std::vector<std::string>>{{}, {"--busy-poll"}, {"-R", "200", "--busy-poll"}}) {
    EXPECT_TRUE(one_of_three([&] {
      program run(together({"-c", "1", "-d", "1s", "--warmup", "100ms", server.address()}, loop),
                  quota.join());
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      return run.cell()["verdict"] == "client-bound" &&
             reasons_of(run.cell()).find("kept from its CPU") != std::string::npos;
    })) << testing::PrintToString(loop);
  }
}

// Its workers only: starting and writing the result would take minutes, under a sanitizer.
TEST(verdicts, a_client_at_the_lowest_priority_next_to_busy_loops) {
  const unsigned cpu = allowed_cpus(0).front();
  const busy_loops loops(4, cpu);
  for (const auto& loop : all_loops()) {
    fixture_server server(behaviours::echo_frames);
    program run(together(
        {"-c", "1", "-d", "1s", "--warmup", "100ms", "--cpus", std::to_string(cpu), server.address()}, loop));
    server.wait_until_asked();
    run.lower_priority_of_workers();
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    EXPECT_EQ(run.cell()["verdict"], "client-bound")
        << testing::PrintToString(loop) << run.cell()["client_threads"];
    EXPECT_THAT(reasons_of(run.cell()), HasSubstr("kept from its CPU")) << testing::PrintToString(loop);
  }
}

TEST(verdicts, a_server_that_is_offered_more_than_it_can_answer) {
  fixture_server server(behaviours::answering_after(20ms));  // 100 requests a second over two connections
  json cell = json::object();
  program run({"-c", "2", "-R", "150", "-d", "2s", "--warmup", "0", "--strict", server.address()});
  EXPECT_EQ(run.wait(), exit_not_valid) << run.err();
  cell = run.cell();
  EXPECT_EQ(cell["errors"], json::object());
  EXPECT_THAT(reasons_of(cell), HasSubstr("requests/s offered"));
  EXPECT_THAT(run.out(), HasSubstr("lower --rate"));
  EXPECT_NEAR(cell["requests_due"].get<double>(), 300, 60);
  EXPECT_LE(cell["throughput_per_s"].get<double>(), 105) << "what was answered later does not count";
  const bool kept_schedule = cell["schedule_adherence"] >= 0.95 && cell["client_kept_away"] < 0.1;
  EXPECT_EQ(cell["verdict"], kept_schedule ? "overloaded" : "client-bound");
}

TEST(verdicts, what_an_overload_leaves_unsent_is_no_error) {
  fixture_server server(behaviours::answering_after(20ms));
  program run({"-c", "2", "-R", "400", "-d", "1s", "--warmup", "0", "--timeout", "500ms", server.address()});
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_GT(run.cell()["requests_dropped"], 0);
  EXPECT_THAT(reasons_of(run.cell()), HasSubstr("were not sent before --timeout had passed"));
  EXPECT_TRUE(run.cell()["errors"].empty())
      << "requests in flight at the end of the drain have time-outs of their own";
  EXPECT_NE(run.cell()["verdict"], "errors");
}

TEST(verdicts, a_server_that_keeps_up_is_not_overloaded_however_long_its_replies_take) {
  fixture_server server(sleeping);
  for (const char* time : {"1ms", "150ms", "900ms"}) {
    EXPECT_TRUE(one_of_three([&] {
      program run({"-c", "100", "-R", "100", "-d", "1s", "--warmup", "0", "--op",
                   std::string("sleep:") + time, server.address()});
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      return run.cell()["verdict"] != "overloaded" && run.cell()["requests"] == run.cell()["requests_due"];
    })) << time;
  }
}

TEST(verdicts, connections_that_were_asked_for_less_are_not_starved) {
  fixture_server server(sleeping);
  const std::vector<std::vector<std::string>> table{
      {"-c", "100", "--think", "5s", "-d", "700ms"},
      {"-c", "20", "--think", "exp:200ms", "-d", "1s"},
      {"-c", "10", "--op", "mix:echo@95,sleep:200ms@5", "-d", "1s"},
      {"-c", "10", "--op", "mix:echo@50,sleep:500ms@50", "-R", "15", "-d", "1s"}};
  for (const auto& arguments : table) {
    program run(together({"--warmup", "0", server.address()}, arguments));
    EXPECT_EQ(run.wait(), exit_ok) << run.err();
    EXPECT_NE(run.cell()["verdict"], "starved") << testing::PrintToString(arguments);
    EXPECT_THAT(
        reasons_of(run.cell()),
        testing::Not(testing::AnyOf(HasSubstr("unevenly over the connections"), HasSubstr("got no reply"))))
        << testing::PrintToString(arguments);
  }
}

// Replies that take a good part of the run.

// What is in flight divided by how long it takes: what a closed loop really does, whatever was counted.
double by_littles_law(const json& cell, double in_flight) {
  return in_flight * 1e9 / cell["service_ns"]["mean"].get<double>();
}

bool is_within(double share, double figure, double expected) {
  return std::abs(figure - expected) <= share * expected;
}

// That law does not hold while a machine stalls.
TEST(verdicts, a_closed_loop_has_its_rate_however_long_replies_take) {
  const struct {
    std::chrono::milliseconds reply;
    const char* duration;
    bool too_short;
  } table[] = {{1500ms, "1s", true}, {800ms, "1600ms", true}, {100ms, "1050ms", false}};
  for (const auto& row : table) {
    fixture_server server(behaviours::answering_after(row.reply));
    EXPECT_TRUE(one_of_three([&] {
      program run({"-c", "10", "-d", row.duration, "--warmup", "300ms", server.address()});
      EXPECT_EQ(run.wait(), exit_ok) << run.err();
      const json cell = run.cell();
      EXPECT_NEAR(cell["throughput_per_s"].get<double>(),
                  cell["requests"].get<double>() * 1e9 / cell["elapsed_ns"].get<double>(), 1e-6);
      EXPECT_LE(cell["effective_concurrency"], 10.01) << row.duration;
      if (row.too_short) {
        EXPECT_THAT(reasons_of(cell),
                    AllOf(HasSubstr("too short for such replies"), HasSubstr("--duration")));
      }
      return is_within(0.05, cell["throughput_per_s"], by_littles_law(cell, 10)) &&
             cell["effective_concurrency"] >= 9.0;
    })) << row.duration;
  }
}

TEST(verdicts, an_open_loop_has_what_was_due_however_long_replies_take) {
  fixture_server server(behaviours::answering_after(500ms));
  program run({"-R", "10", "--arrivals", "uniform", "-d", "2s", "--warmup", "0", server.address()});
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["requests"], 20);
  EXPECT_EQ(run.cell()["throughput_per_s"], 10.0);
  EXPECT_THAT(reasons_of(run.cell()), HasSubstr("too short for such replies"));
}

TEST(verdicts, a_capacity_is_what_long_replies_allow) {
  fixture_server server(behaviours::answering_after(100ms));
  EXPECT_TRUE(one_of_three([&] {
    program run({"-c", "10", "--sweep", "10%..20%/2", "--slice", "500ms", "-d", "1s", server.address()});
    EXPECT_EQ(run.wait(), exit_ok) << run.err();
    return is_within(0.07, run.cell()["capacity_per_s"], by_littles_law(run.cell(), 10));
  }));
}

TEST(verdicts, targets_are_compared_by_how_long_their_replies_take) {
  fixture_server one(behaviours::answering_after(50ms));
  fixture_server two(behaviours::answering_after(53ms));
  EXPECT_TRUE(one_of_three([&] {
    program run({"-c", "10", "-d", "2400ms", "--slice", "400ms", "--rounds", "1", "--warmup", "400ms",
                 one.address(), two.address()});
    EXPECT_EQ(run.wait(), exit_ok) << run.err();
    const json cells = run.result()["cells"];
    return std::ranges::all_of(cells, [](const json& cell) {
      const double expected = by_littles_law(cell, 10);
      return is_within(0.08, cell["throughput_per_s"], expected) &&
             std::ranges::all_of(cell["slices"], [&](const json& slice) {
               const double rate = slice["requests"].get<double>() * 1e9 / slice["elapsed_ns"].get<double>();
               return is_within(0.25, rate, expected);
             });
    });
  }));
}

TEST(verdicts, a_listener_whose_backlog_is_too_small) {
  const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
  set_blocking(listener.get(), true);
  // Two fit in; the others' SYN is sent again after 1 s, and then finds somebody who accepts.
  std::jthread server([&] {
    pollfd first{.fd = listener.get(), .events = POLLIN, .revents = 0};
    ::poll(&first, 1, 60'000);
    std::this_thread::sleep_for(500ms);
    std::vector<std::jthread> serving;
    for (int i = 0; i < 12; ++i) {
      serving.emplace_back([fd = ::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)] {
        fixture_server::connection peer(fd, 0);
        behaviours::echo_frames(peer);
        ::close(fd);
      });
    }
  });
  program run(briefly({"-c", "12", "--timeout", "10s", endpoint::local_of(listener.get()).to_string()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_GT(cell["system"]["listen_overflows"], 0);
  EXPECT_THAT(reasons_of(cell), HasSubstr("accept queue"));
  EXPECT_GE(cell["connect_ns"]["max"], 1'000'000'000);
  EXPECT_GT(cell["system"]["retransmitted_segments"], 0);
}

}  // namespace
}  // namespace echobench
