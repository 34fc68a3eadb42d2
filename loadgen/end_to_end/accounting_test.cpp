// How the time of a run is divided: intervals, and slices with the server's CPU time.
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"
#include "loadgen/end_to_end/server_process.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

// Twenty of its replies are a window.
const fixture_server::behaviour slow_replies =
    behaviours::tamper([](std::size_t, std::size_t, message reply) {
      std::this_thread::sleep_for(400ms);
      return reply;
    });

class a_file {
public:
  a_file() { ::close(::mkstemp(name_)); }
  ~a_file() { ::unlink(name_); }

  std::string name() const { return name_; }
  std::vector<json> lines() const {
    std::vector<json> all;
    std::ifstream file(name_);
    for (std::string line; std::getline(file, line);) all.push_back(json::parse(line));
    return all;
  }

private:
  char name_[32] = "/tmp/echo-load-lines-XXXXXX";
};

TEST(intervals, are_as_long_as_asked_for_also_within_a_longer_window) {
  fixture_server server(slow_replies);
  const a_file file;
  program run({"-c", "4", "-d", "2s", "--warmup", "100ms", "--interval", "500ms", "--intervals", file.name(),
               server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const auto lines = file.lines();
  EXPECT_GE(lines.size(), 3U) << "on a machine that is busy otherwise two may become one";
  std::uint64_t requests = 0;
  std::int64_t driven = 0;
  for (const json& line : lines) {
    requests += line["requests"].get<std::uint64_t>();
    driven += line["driven_ns"].get<std::int64_t>();
    EXPECT_EQ(line.contains("p50_ns"), line["requests"] > 0) << "nothing has no median";
  }
  EXPECT_EQ(requests, run.cell()["service_ns"]["count"]);
  EXPECT_EQ(driven, run.cell()["measured_ns"]);
}

TEST(intervals, are_taken_within_a_slice_too) {
  fixture_server one(slow_replies);
  fixture_server two(slow_replies);
  const a_file file;
  program run({"-c", "4", "-d", "8s", "--slice", "4s", "--rounds", "1", "--warmup", "400ms", "--interval",
               "500ms", "--intervals", file.name(), one.address(), two.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  std::size_t of_one = 0;
  for (const json& line : file.lines()) of_one += line["target"] == one.address();
  EXPECT_GE(of_one, 2U) << "in the time that counts";
}

TEST(intervals, of_a_run_that_is_killed_are_left_behind) {
  fixture_server server(slow_replies);
  const a_file file;
  program run({"-c", "4", "-d", "60s", "--warmup", "100ms", "--interval", "200ms", "--intervals", file.name(),
               server.address()});
  for (int i = 0; i < 20'000 && file.lines().size() < 3; ++i) std::this_thread::sleep_for(1ms);
  run.signal(SIGKILL);
  EXPECT_EQ(run.wait(), -SIGKILL);
  EXPECT_GE(file.lines().size(), 3U);
}

TEST(slices, of_one_target_have_the_servers_cpu_time_of_a_second_each) {
  const server_process server(behaviours::echo_frames);
  const std::vector<std::string> load{"-c", "2", "-d", "2500ms", "--warmup", "0", server.address()};
  program alone(load);
  ASSERT_EQ(alone.wait(), exit_ok) << alone.err();
  EXPECT_EQ(alone.cell()["slices"].size(), 125U) << "nothing need be read for them";

  auto with_pid = load;
  with_pid.insert(with_pid.end(), {"--server-pid", server.pid()});
  program run(with_pid);
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["slices"].size(), 2U);
  EXPECT_EQ(cell["windows"], 125) << "in which stalls are distinguished";
  std::uint64_t requests = 0;
  std::int64_t cpu = 0;
  for (const json& slice : cell["slices"]) {
    EXPECT_GE(slice["slice_ns"], 1'000'000'000);
    EXPECT_GT(slice["requests"], 0);
    requests += slice["requests"].get<std::uint64_t>();
    cpu += slice["server_cpu_ns"].get<std::int64_t>();
  }
  EXPECT_EQ(requests, cell["requests"]);
  EXPECT_GT(cpu, 0);
  EXPECT_LE(cpu, cell["server"]["cpu_ns"].get<std::int64_t>() * 21 / 20);
}

TEST(slices, of_a_sweep_are_read_as_seldom) {
  const server_process server(behaviours::echo_frames);
  program run({"-c", "2", "--sweep", "10%..20%/2", "--slice", "1s", "-d", "2s", "--warmup", "100ms",
               "--server-pid", server.pid(), server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json result = run.result();
  for (const json& cell : result["cells"]) {
    ASSERT_EQ(cell["slices"].size(), 1U);
    EXPECT_TRUE(cell["slices"][0].contains("server_cpu_ns"));
  }
}

}  // namespace
}  // namespace echobench
