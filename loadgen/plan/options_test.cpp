#include "loadgen/plan/options.hpp"

#include <CLI/CLI.hpp>
#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;

options parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "echo-load");
  return command_line().parse(static_cast<int>(arguments.size()), arguments.data());
}

std::string refusal(std::vector<const char*> arguments) {
  arguments.push_back("127.0.0.1:4000");
  try {
    parse(arguments);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(options, defaults_are_those_of_the_manual) {
  const options o = parse({"127.0.0.1:4000"});
  EXPECT_EQ(o.load.connections, 100U);
  EXPECT_EQ(o.duration, 10s);
  EXPECT_EQ(o.warmup, 1s);
  EXPECT_EQ(o.threads, 1U);
  EXPECT_EQ(o.load.messages.largest_payload(), 64U);
  EXPECT_EQ(o.load.pipeline, 1U);
  EXPECT_EQ(o.load.timeout, 5s);
  EXPECT_FALSE(o.open_loop());
  EXPECT_FALSE(o.load.busy_poll);
  EXPECT_EQ(o.load.messages.operations[0].op.kind, frame_op::echo);
  EXPECT_EQ(o.load.messages.frames, framing::frame);
  EXPECT_EQ(o.load.pattern, workload::rr);
  EXPECT_EQ(o.slice, std::nullopt);
  ASSERT_EQ(o.targets.size(), 1U);
  EXPECT_EQ(o.targets[0].label(), "127.0.0.1:4000");
  EXPECT_EQ(o.targets[0].server_pid, std::nullopt);
}

TEST(options, values_are_taken_with_their_units) {
  const options o = parse({"-c",          "10k",
                           "-d",          "30s",
                           "-t",          "2",
                           "-R",          "50k",
                           "--arrivals",  "poisson",
                           "--warmup",    "2s",
                           "--payload",   "1Ki",
                           "--op",        "work:100us",
                           "--offload",   "--timeout",
                           "250ms",       "--slice",
                           "1500ms",      "--rounds",
                           "9",           "--seed",
                           "7",           "--cpus",
                           "0",           "--server-pid",
                           "11",          "--server-pid",
                           "12",          "--strict",
                           "--busy-poll", "one=127.0.0.1:1",
                           "[::1]:2"});
  EXPECT_EQ(o.load.connections, 10'000U);
  EXPECT_EQ(o.rate, 50'000U);
  EXPECT_EQ(o.load.pace.arrival, arrivals::poisson);
  EXPECT_EQ(o.load.messages.largest_payload(), 1024U);
  EXPECT_EQ(o.load.messages.operations[0].op.kind, frame_op::work);
  EXPECT_EQ(o.load.messages.operations[0].op.param, 100us);
  EXPECT_TRUE(o.load.messages.operations[0].op.offload);
  EXPECT_EQ(o.slice, 1500ms);
  EXPECT_EQ(o.rounds, 9U);
  EXPECT_TRUE(o.strict);
  EXPECT_TRUE(o.load.busy_poll);
  ASSERT_EQ(o.targets.size(), 2U);
  EXPECT_EQ(o.targets[0].label(), "one");
  EXPECT_EQ(o.targets[0].host_and_port, "127.0.0.1:1");
  EXPECT_EQ(o.targets[0].server_pid, 11);
  EXPECT_EQ(o.targets[1].label(), "[::1]:2");
  EXPECT_EQ(o.targets[1].server_pid, 12);
}

TEST(options, what_cannot_be_is_refused_naming_the_option) {
  const struct {
    std::vector<const char*> arguments;
    const char* named;
  } table[] = {{{"-c", "0"}, "--connections"},
               {{"--idle-connections", "-1"}, "--idle-connections"},
               {{"-R", "-1"}, "--rate"},
               {{"-R", "0"}, "--rate"},
               {{"-d", "10"}, "--duration"},
               {{"-t", "0"}, "--threads"},
               {{"-t", "3", "-c", "2"}, "--threads"},
               {{"--arrivals", "bursty"}, "--arrivals"},
               {{"--op", "dance"}, "--op"},
               {{"--op", "work"}, "--op"},
               {{"--op", "sleep:5"}, "--op"},
               {{"--op", "work:1ns"}, "--op"},
               {{"--op", "work:1ms", "--framing", "raw"}, "--op"},
               {{"--offload"}, "--offload"},
               {{"--payload", "0", "--framing", "raw"}, "--payload"},
               {{"--payload", "64Ki", "--framing", "line"}, "--payload"},
               {{"--workload", "crr", "--pipeline", "2"}, "--pipeline"},
               {{"--workload", "stream", "-R", "1"}, "--rate"},
               {{"--op", "mix:echo@1,work:1ms@1", "--framing", "line"}, "--op"},
               {{"--op", "mix:echo@0"}, "--op"},
               {{"--op", "upper", "--payload", "uniform:12-64"}, "--payload"},
               {{"--payload", "64-"}, "--payload"},
               {{"--payload", "uniform:1-64Ki", "--framing", "line"}, "--payload"},
               {{"--think", "soon"}, "--think"},
               {{"--think", "1ms", "-R", "1"}, "--think"},
               {{"--bursts", "10ms"}, "--bursts"},
               {{"--bursts", "0/10ms"}, "--bursts"},
               {{"--slow-readers", "1", "--workload", "crr"}, "--slow-readers"},
               {{"--engine", "kqueue"}, "--engine"},
               {{"--slice", "soon"}, "--slice"},
               {{"--slice", "20s"}, "--slice"},
               {{"--server-pid", "1", "--server-pid", "2"}, "--server-pid"},
               {{"--server-loops", "0"}, "--server-loops"},
               {{"--server-loops", "1", "--server-loops", "2"}, "--server-loops"},
               {{"--warmup", "0", "127.0.0.1:4001"}, "--warmup"},
               {{"-R", "10", "--slice", "99ms", "127.0.0.1:4001"}, "--slice"},
               {{"--rounds", "0"}, "--rounds"},
               {{"=127.0.0.1:4001"}, "TARGET"},
               {{"caf\xe9=127.0.0.1:4001"}, "TARGET"},
               {{"--no-such-option"}, "--no-such-option"}};
  for (const auto& row : table) EXPECT_THAT(refusal(row.arguments), testing::HasSubstr(row.named));
  EXPECT_THROW(parse({}), CLI::RequiredError);
}

TEST(options, the_shape_of_a_load_is_taken_apart) {
  const options o = parse({"--payload", "mix:64@9,4k@1", "--op", "mix:echo@99,work:10ms@1", "--offload",
                           "--think", "exp:5ms", "--bursts", "10ms/90ms", "--slow-readers", "3", "--engine",
                           "epoll", "--workload", "stream", "127.0.0.1:1"});
  ASSERT_EQ(o.load.messages.operations.size(), 2U);
  EXPECT_FALSE(o.load.messages.operations[0].op.offload);
  EXPECT_TRUE(o.load.messages.operations[1].op.offload);
  EXPECT_EQ(o.load.messages.largest_payload(), 4000U);
  EXPECT_EQ(o.load.pace.think.mean, 5ms);
  EXPECT_TRUE(o.load.pace.think.exponential);
  EXPECT_EQ(o.load.pace.on_off.off, 90ms);
  EXPECT_EQ(o.load.slow_readers, 3U);
  EXPECT_EQ(o.io, engine::epoll);
  EXPECT_GT(o.load.pipeline, 100U) << "a stream is as deep as its window";
  EXPECT_EQ(parse({"--workload", "stream", "--pipeline", "3", "127.0.0.1:1"}).load.pipeline, 3U);
}

TEST(options, short_open_loop_slices_and_rounds_beyond_the_duration_are_allowed) {
  EXPECT_EQ(refusal({"-R", "10", "--slice", "100ms", "127.0.0.1:4001"}), "");
  EXPECT_THAT(refusal({"--slice", "20s", "127.0.0.1:4001"}), testing::HasSubstr("--rounds"));
  EXPECT_EQ(refusal({"--slice", "20s", "--rounds", "2", "127.0.0.1:4001"}), "");
}

TEST(options, every_option_has_help_and_a_default) {
  command_line line;
  for (const CLI::Option* option : line.app().get_options()) {
    EXPECT_FALSE(option->get_description().empty()) << option->get_name();
    const bool has_value = option->get_items_expected_max() > 0 && !option->get_positional();
    EXPECT_NE(option->get_default_str().empty(), has_value) << option->get_name();
  }
}

}  // namespace
}  // namespace echobench
