// The log of an observer, and what is computed from it: without a network.
#include "loadgen/accuracy/observation.hpp"

#include "loadgen/plan/schedule.hpp"
#include "loadgen/session/message_plan.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using time_point = observed_request::time_point;

constexpr auto origin = time_point(1000s);

// The log of a load whose request number n arrives so long after its due time.
std::vector<observed_request> log_of(const observed_load& load, std::size_t count,
                                     const std::function<nanoseconds(std::size_t)>& delay) {
  schedule requests(load.arrival, {.rate = load.rate,
                                   .connections = {.whole = load.connections},
                                   .seed = load.seed,
                                   .on_off = load.on_off});
  std::vector<std::uint32_t> sent(load.connections);
  std::vector<observed_request> log;
  for (std::size_t i = 0; i < count; ++i) {
    const auto [due, connection] = requests.next();
    requests.release();
    const auto number = static_cast<std::uint32_t>(connection);
    const auto accepted = static_cast<std::uint32_t>(load.connections - 1 - connection);  // in another order
    const auto arrived = origin + due + delay(i);
    log.push_back({.connection = accepted,
                   .sequence = message_plan::sequence_field(number, sent[connection]++),
                   .arrived = arrived,
                   .read = arrived + 1us,
                   .replied = arrived + 2us,
                   .stamp = arrival_stamp::exact});
  }
  return log;
}

TEST(message_plan, the_first_request_says_whose_it_is) {
  for (const std::uint32_t connection : {0U, 1U, 2U, 1999U, 65'536U, 1'048'575U})
    EXPECT_EQ(message_plan::connection_of_first(message_plan::sequence_field(connection, 0)), connection);
}

TEST(arrival_log, what_was_written_is_read) {
  arrival_log log(3);
  EXPECT_EQ(log.add_connection("127.0.0.1:40000"), 0U);
  EXPECT_EQ(log.add_connection("127.0.0.1:40001"), 1U);
  const auto first = log.add({.connection = 1,
                              .sequence = 4'294'967'295,
                              .arrived = origin,
                              .read = origin + 5ns,
                              .replied = {},
                              .stamp = arrival_stamp::shared});
  log.add({.connection = 0,
           .sequence = 1,
           .arrived = origin + 1s,
           .read = origin + 2s,
           .replied = {},
           .stamp = {}});
  log.replied(first, origin + 7ns);
  const std::string file = testing::TempDir() + "arrival_log_test.csv";
  log.write(file);
  std::ifstream in(file);
  const auto requests = read_arrival_log(in);
  std::filesystem::remove(file);
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0].connection, 1U);
  EXPECT_EQ(requests[0].sequence, 4'294'967'295U);
  EXPECT_EQ(requests[0].arrived, origin);
  EXPECT_EQ(requests[0].read, origin + 5ns);
  EXPECT_EQ(requests[0].replied, origin + 7ns);
  EXPECT_EQ(requests[0].stamp, arrival_stamp::shared);
  EXPECT_EQ(requests[1].arrived, origin + 1s);
  EXPECT_EQ(requests[1].replied, time_point());
  EXPECT_EQ(requests[1].stamp, arrival_stamp::exact);
}

TEST(arrival_log, what_cannot_be_written_is_an_error) {
  const arrival_log log(1);
  EXPECT_THROW(log.write("/dev/full"), std::system_error);
  EXPECT_THROW(log.write("/no/such/folder/log.csv"), std::system_error);
}

TEST(arrival_log, a_line_that_is_something_else_is_named) {
  const std::string names = std::string(arrival_log::columns) + '\n';
  for (const auto& [text, line] : std::vector<std::pair<std::string, std::string>>{
           {"", "line 1"},
           {"connection,peer\n", "line 1"},
           {names + "0,127.0.0.1:1,0,1,2,3\n", "line 2"},
           {names + "0,127.0.0.1:1,0,1,2,3,exact,4\n", "line 2"},
           {names + "0,127.0.0.1:1,0,1,2,3,exact\n0,127.0.0.1:1,x,1,2,3,exact\n", "line 3"},
           {names + "0,127.0.0.1:1,0,1,2,3,about\n", "line 2"}}) {
    std::istringstream in(text);
    try {
      read_arrival_log(in);
      ADD_FAILURE() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_NE(std::string(error.what()).find(line), std::string::npos) << error.what();
    }
  }
}

TEST(observation, delays_are_those_of_the_requests_whatever_the_order_of_connections) {
  for (const arrivals kind : {arrivals::uniform, arrivals::poisson}) {
    const observed_load load{.arrival = kind, .rate = 10'000, .connections = 17, .seed = 5, .on_off = {}};
    const auto log = log_of(load, 1000, [](std::size_t i) {
      return 30us + (i < 900 ? 0us : i < 990 ? 1000us : 5000us);
    });
    const observation seen = observe(log, load);
    EXPECT_EQ(seen.requests, 1000U);
    EXPECT_EQ(seen.delay.percentile(90), 1ns) << "less the shortest; a histogram begins at 1 ns";
    EXPECT_NEAR(static_cast<double>(seen.delay.percentile(99).count()), 1e6, 1e3);
    EXPECT_EQ(seen.delay.max(), 5ms);
  }
}

TEST(observation, a_burst_is_compared_with_its_own_due_times) {
  const observed_load load{.arrival = arrivals::uniform,
                           .rate = 50'000,
                           .connections = 2000,
                           .seed = 1,
                           .on_off = {.on = 2ms, .off = 98ms}};
  const auto log = log_of(load, 20'000, [](std::size_t i) { return 4us * (i % 5000); });
  EXPECT_NEAR(static_cast<double>(observe(log, load).delay.percentile(50).count()), 10e6, 1e4);
}

TEST(observation, gaps_are_counted_in_the_order_of_arrival) {
  const observed_load poisson{
      .arrival = arrivals::poisson, .rate = 10'000, .connections = 100, .seed = 3, .on_off = {}};
  const auto log = log_of(poisson, 20'000, [](std::size_t) { return 0us; });
  const observation seen = observe(log, poisson);
  EXPECT_EQ(seen.arrived.count, 19'999U);
  EXPECT_NEAR(seen.arrived.coefficient_of_variation(), 1, 0.03);
  EXPECT_NEAR(seen.arrived.share_below_short(), 1 - std::exp(-0.1), 0.01);
  std::uint64_t beyond = 0;
  for (const std::uint64_t count : seen.tenths) beyond += count;
  EXPECT_EQ(beyond, seen.arrived.count - seen.arrived.below_short);
  for (const std::uint64_t count : seen.tenths)
    EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(beyond), 0.1, 0.01);

  const observed_load uniform{
      .arrival = arrivals::uniform, .rate = 10'000, .connections = 100, .seed = 3, .on_off = {}};
  const observation even = observe(log_of(uniform, 1000, [](std::size_t) { return 0us; }), uniform);
  EXPECT_NEAR(even.arrived.coefficient_of_variation(), 0, 1e-3);
  EXPECT_EQ(even.due.coefficient_of_variation(), even.arrived.coefficient_of_variation());
}

TEST(observation, inexact_stamps_are_counted) {
  const observed_load load{
      .arrival = arrivals::uniform, .rate = 1000, .connections = 4, .seed = 1, .on_off = {}};
  auto log = log_of(load, 10, [](std::size_t) { return 0us; });
  log[3].stamp = arrival_stamp::shared;
  log[5].stamp = log[6].stamp = arrival_stamp::absent;
  EXPECT_EQ(observe(log, load).shared, 1U);
  EXPECT_EQ(observe(log, load).absent, 2U);
}

TEST(observation, a_log_of_another_load_is_refused) {
  const observed_load load{
      .arrival = arrivals::uniform, .rate = 1000, .connections = 8, .seed = 1, .on_off = {}};
  const auto log = log_of(load, 16, [](std::size_t) { return 0us; });
  observed_load smaller = load;
  smaller.connections = 7;
  EXPECT_THROW(observe(log, smaller), std::invalid_argument);
  EXPECT_THROW(observe({}, load), std::invalid_argument);
  const std::span after_warm_up = std::span(log).subspan(8);
  EXPECT_THROW(observe(after_warm_up, load), std::invalid_argument);
}

}  // namespace
}  // namespace echobench
