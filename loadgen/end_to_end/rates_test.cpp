// Runs at several rates: sweeps, and searches for the highest that holds an objective.
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>

#include <mutex>
#include <string>
#include <thread>

namespace echobench {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

// Answers after 2 ms: four connections get 2,000 a second at most, however fast the machine.
const fixture_server::behaviour slow = behaviours::tamper([](std::size_t, std::size_t, message reply) {
  std::this_thread::sleep_for(2ms);
  return reply;
});

// On a machine that is busy otherwise the client may be kept from offering any rate: nothing is known then,
// and it says so. What a search makes of its trials is tested without a network.
bool could_be_tried(const program& run) {
  if (run.result()["maximum_rates"][0]["place"] != "unknown") return true;
  EXPECT_THAT(run.out(), HasSubstr("no rate that was tried could be used"));
  return false;
}

TEST(rates, a_sweep_measures_parts_of_what_each_target_can_do) {
  fixture_server one(slow);
  fixture_server two(behaviours::echo_frames);
  program run({"-c", "4", "--sweep", "10%..50%/3", "--slice", "200ms", "-d", "1s", "slow=" + one.address(),
               "fast=" + two.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cells = run.result()["cells"];
  ASSERT_EQ(cells.size(), 6U);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(cells[i]["variant"], i < 3 ? "slow" : "fast");
    const double capacity = cells[i]["capacity_per_s"];
    EXPECT_EQ(capacity, cells[i / 3 * 3]["capacity_per_s"].get<double>());
    EXPECT_NEAR(cells[i]["offered_per_s"].get<double>(),
                capacity * (i % 3 == 0   ? 0.1
                            : i % 3 == 1 ? 0.3
                                         : 0.5),
                1);
    EXPECT_GT(cells[i]["requests"], 0);
    EXPECT_GE(cells[i]["slices"].size(), 5U);
  }
  EXPECT_LT(cells[0]["capacity_per_s"], 2100.0);
  EXPECT_EQ(run.result()["config"]["sweep"], "10%..50%/3");
  EXPECT_THAT(run.out(), AllOf(HasSubstr("slow at "), HasSubstr("fast at ")));
}

// An objective that a busy machine holds, too: below it a search goes down to rates whose trials take 20 s
// each.
TEST(rates, the_highest_rate_that_holds_an_objective_is_found_below_the_capacity) {
  fixture_server server(slow);
  program run(
      {"-c", "4", "--slo", "p50=100ms", "--slice", "150ms", "--warmup", "300ms", "slow=" + server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err() << run.out();
  const json result = run.result();
  ASSERT_EQ(result["maximum_rates"].size(), 1U);
  const json maximum = result["maximum_rates"][0];
  EXPECT_EQ(maximum["variant"], "slow");
  EXPECT_EQ(maximum["trials"].size(), maximum["cells"].size());
  EXPECT_EQ(result["cells"].size(), maximum["cells"].size());
  EXPECT_EQ(result["config"]["slo"], "p50=100ms");
  if (!could_be_tried(run)) GTEST_SKIP() << "too busy a machine";
  EXPECT_GT(maximum["rate_per_s"], 20.0);
  EXPECT_LT(maximum["rate_per_s"], 2300.0);
  EXPECT_THAT(run.out(), HasSubstr("slow: p50=100ms holds "));
}

TEST(rates, an_objective_that_never_or_always_holds_is_reported_as_such) {
  fixture_server server(behaviours::echo_frames);
  program never({"-c", "4", "--slo", "p50=1us", "--slice", "100ms", server.address()});
  ASSERT_EQ(never.wait(), exit_ok) << never.err();
  if (could_be_tried(never)) {
    EXPECT_EQ(never.result()["maximum_rates"][0]["place"], "at-most");
    EXPECT_THAT(never.out(), HasSubstr("does not even hold at"));
  }

  // A client that loses its CPU when a trial ends leaves requests unsent, which looks like an overload.
  EXPECT_TRUE(one_of_three([&] {
    program always({"-c", "4", "--slo", "p50=100s", "--slice", "100ms", server.address()});
    EXPECT_EQ(always.wait(), exit_ok) << always.err();
    return !could_be_tried(always) || (always.result()["maximum_rates"][0]["place"] == "at-least" &&
                                       always.out().find("at least") != std::string::npos);
  }));
}

TEST(rates, an_interrupted_search_tells_what_it_knows) {
  fixture_server server(slow);
  program run({"-c", "4", "--slo", "p50=30ms", "--slice", "2s", "--warmup", "0", server.address()});
  server.wait_until_asked();
  std::this_thread::sleep_for(5s);  // one second for the capacity, and two for each of some ten trials
  run.interrupt();
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.result()["interrupted"], true);
  EXPECT_FALSE(run.result()["maximum_rates"][0].contains("ended"));
  EXPECT_THAT(run.out(), HasSubstr("the search was not finished"));
}

TEST(rates, an_interrupted_sweep_keeps_the_steps_that_were_driven) {
  fixture_server server(slow);
  program run({"-c", "4", "--sweep", "20%..60%/5", "--slice", "1s", server.address()});
  server.wait_until_asked();
  std::this_thread::sleep_for(3700ms);
  run.interrupt();
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  const json cells = run.result()["cells"];
  EXPECT_GE(cells.size(), 1U);
  EXPECT_LE(cells.size(), 3U);
  for (const json& cell : cells) EXPECT_GT(cell["requests_total"], 0);
}

TEST(rates, a_lost_connection_ends_its_targets_search_and_no_other) {
  std::once_flag asked;
  std::chrono::steady_clock::time_point first;
  fixture_server losing(behaviours::tamper([&](std::size_t connection, std::size_t, message reply) {
    std::call_once(asked, [&] { first = std::chrono::steady_clock::now(); });
    std::this_thread::sleep_for(2ms);
    const bool late = std::chrono::steady_clock::now() - first > 3s;  // the first trial is a second old
    return connection == 2 && late ? message() : reply;
  }));
  fixture_server server(slow);
  program run({"-c", "4", "--slo", "p50=30ms", "--slice", "300ms", "losing=" + losing.address(),
               "keeping=" + server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json maximum_rates = run.result()["maximum_rates"];
  EXPECT_EQ(maximum_rates[0]["connections_lost"], 1);
  EXPECT_FALSE(maximum_rates[0].contains("ended"));
  EXPECT_EQ(maximum_rates[1]["connections_lost"], 0);
  EXPECT_TRUE(maximum_rates[1].contains("ended"));
  EXPECT_THAT(run.out(), HasSubstr("the search was not finished: 1 of 4 connections were lost"));
  // Only the trial in which it was lost is missed for that.
  const json cells = run.result()["cells"];
  std::size_t with_errors = 0;
  for (const json& cell : cells) with_errors += !cell["errors"].empty();
  EXPECT_EQ(with_errors, 1U);
}

TEST(rates, a_target_that_nobody_serves_is_reported_once) {
  const unserved_address nobody;
  for (const auto& arguments : {std::vector<std::string>{"--sweep", "10%..50%/3"}, {"--slo", "p99=1ms"}}) {
    auto all = briefly(arguments);
    all.push_back(nobody.to_string());
    program run(all);
    EXPECT_EQ(run.wait(), exit_failed);
    EXPECT_EQ(std::ranges::count(run.err(), '\n'), 1) << run.err();
    EXPECT_THAT(run.err(), HasSubstr("nothing listens there"));
  }
}

}  // namespace
}  // namespace echobench
