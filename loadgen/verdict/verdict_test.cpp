#include "loadgen/verdict/verdict.hpp"

#include <gmock/gmock.h>

#include <vector>

namespace echobench {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

evidence healthy() {
  evidence given;
  given.replies = given.answered = 1000;
  given.service = std::chrono::milliseconds(1);
  given.measured_at_a_time = std::chrono::seconds(1);
  given.client_busy = 0.5;
  given.server_busy = 0.99;
  given.connections = given.served = 10;
  return given;
}

evidence with_error(load_error kind) {
  evidence given = healthy();
  given.errors[static_cast<std::size_t>(kind)] = 2;
  return given;
}

TEST(verdict, a_healthy_cell_is_valid_without_a_word) {
  EXPECT_EQ(judge(healthy()).found, verdict::valid);
  EXPECT_THAT(judge(healthy()).reasons, IsEmpty());
}

TEST(verdict, every_kind_of_error_has_its_verdict_and_a_reason) {
  for (std::size_t i = 0; i < load_error_kinds; ++i) {
    const auto kind = static_cast<load_error>(i);
    const auto judged = judge(with_error(kind));
    EXPECT_EQ(judged.found, is_wrong_reply(kind) ? verdict::wrong_replies : verdict::errors) << name_of(kind);
    ASSERT_EQ(judged.reasons.size(), 1U);
    EXPECT_THAT(judged.reasons[0], testing::StartsWith("2 "));
  }
  evidence silent = healthy();
  silent.replies = 0;
  EXPECT_EQ(judge(silent).found, verdict::errors);
  evidence behind = healthy();
  behind.dropped = 1;
  EXPECT_EQ(judge(behind).found, verdict::errors);
  evidence too_short = healthy();
  too_short.answered = 0;
  EXPECT_EQ(judge(too_short).found, verdict::errors) << "its replies were to the warm-up";
  EXPECT_THAT(judge(too_short).reasons, testing::ElementsAre(HasSubstr("--duration")));
}

backlog_growth left_behind(double requests) { return {.due = 10'000, .growth = requests}; }

TEST(verdict, a_client_that_was_kept_from_its_cpu_is_client_bound_in_both_loops) {
  struct {
    bool open_loop;
    double kept_away;
    double server;
    verdict expected;
    std::size_t reasons;
  } table[] = {{false, 0.01, 0.5, verdict::valid, 0},        {false, 0.09, 0.5, verdict::valid, 1},
               {false, 0.10, 0.5, verdict::client_bound, 1}, {false, 0.80, 0.96, verdict::valid, 1},
               {true, 0.01, 0.5, verdict::valid, 0},         {true, 0.09, 0.5, verdict::valid, 1},
               {true, 0.10, 0.5, verdict::client_bound, 1},  {true, 0.80, 0.96, verdict::client_bound, 1}};
  for (const auto& row : table) {
    evidence of = healthy();
    of.open_loop = row.open_loop;
    of.kept_away = row.kept_away;
    of.server_busy = row.server;
    const auto judged = judge(of);
    EXPECT_EQ(judged.found, row.expected) << row.open_loop << row.kept_away;
    ASSERT_EQ(judged.reasons.size(), row.reasons) << row.open_loop << row.kept_away;
    if (row.reasons > 0) {
      EXPECT_THAT(judged.reasons[0], HasSubstr("kept from its CPU for"));
    }
  }
}

TEST(verdict, a_server_that_does_not_keep_up_with_the_open_loop_is_overloaded) {
  evidence of = healthy();
  of.open_loop = true;
  of.backlog = left_behind(200);
  EXPECT_EQ(judge(of).found, verdict::valid) << "2 %";
  of.backlog = left_behind(201);
  of.offered = 81'000;
  of.throughput = 68'161;
  const auto judged = judge(of);
  EXPECT_EQ(judged.found, verdict::overloaded);
  EXPECT_THAT(judged.reasons, testing::ElementsAre(testing::AllOf(
                                  HasSubstr("the server answered 68,161 of 81,000 requests/s offered"),
                                  HasSubstr("201 requests"), HasSubstr("lower --rate"))));
  of.served = 9;
  EXPECT_EQ(judge(of).found, verdict::overloaded) << "before starved";
  of.on_schedule = 0.9;
  EXPECT_EQ(judge(of).found, verdict::client_bound) << "and after client-bound";
}

TEST(verdict, requests_dropped_by_an_overload_are_no_errors) {
  evidence of = healthy();
  of.open_loop = true;
  of.dropped = 57'829;
  of.backlog = left_behind(5000);
  EXPECT_EQ(judge(of).found, verdict::overloaded);
  EXPECT_THAT(judge(of).reasons[1], HasSubstr("57,829 request(s) were due"));
  of.backlog.reset();
  of.on_schedule = 0.5;
  EXPECT_EQ(judge(of).found, verdict::client_bound);
  of.errors[static_cast<std::size_t>(load_error::reset)] = 1;
  EXPECT_EQ(judge(of).found, verdict::errors);
}

TEST(verdict, a_run_too_short_for_its_replies_says_so) {
  evidence of = healthy();
  of.service = std::chrono::milliseconds(100);
  EXPECT_THAT(judge(of).reasons, IsEmpty()) << "ten in a row";
  of.service = std::chrono::milliseconds(1500);
  of.answered = 7;
  EXPECT_EQ(judge(of).found, verdict::valid) << "the rate is right, and says on how little it rests";
  EXPECT_THAT(judge(of).reasons,
              testing::ElementsAre(testing::AllOf(HasSubstr("took 1.5 s on average"), HasSubstr("lasted 1 s"),
                                                  HasSubstr("rest on 7"), HasSubstr("measure 15s or longer"),
                                                  HasSubstr("--duration"))));
}

TEST(verdict, an_uneven_share_counts_beyond_what_chance_explains) {
  evidence of = healthy();
  of.spread.jain_index = 0.85;
  EXPECT_EQ(judge(of).found, verdict::starved);
  of.jain_index_by_chance = 0.94;
  EXPECT_EQ(judge(of).found, verdict::valid);
}

TEST(verdict, closed_loop_is_client_bound_when_the_client_is_busy_and_the_server_is_not) {
  struct {
    double client;
    std::optional<double> server;
    verdict expected;
  } table[] = {{0.94, 0.50, verdict::valid},       {0.95, 0.94, verdict::client_bound},
               {0.95, 0.95, verdict::valid},       {1.00, 1.00, verdict::valid},
               {0.94, {}, verdict::valid},         {0.95, {}, verdict::client_bound},
               {0.99, 0.10, verdict::client_bound}};
  for (const auto& row : table) {
    evidence given = healthy();
    given.client_busy = row.client;
    given.server_busy = row.server;
    EXPECT_EQ(judge(given).found, row.expected) << row.client << ' ' << row.server.value_or(-1);
  }
}

TEST(verdict, open_loop_is_client_bound_where_its_schedule_was_not_kept_or_replies_waited_for_the_client) {
  evidence given = healthy();
  given.open_loop = true;
  given.client_busy = 0.9;
  given.server_busy = 0.1;
  given.on_schedule = 0.95;
  EXPECT_EQ(judge(given).found, verdict::valid);
  given.client_busy = 0.95;
  EXPECT_EQ(judge(given).found, verdict::client_bound);
  EXPECT_THAT(judge(given).reasons[0], HasSubstr("or lower --rate"));
  given.server_busy = 0.95;
  EXPECT_EQ(judge(given).found, verdict::valid);
  given.client_busy = 0.9;
  given.on_schedule = 0.94;
  const auto judged = judge(given);
  EXPECT_EQ(judged.found, verdict::client_bound);
  EXPECT_THAT(judged.reasons[0], HasSubstr("--rate"));
}

TEST(verdict, starved_is_a_connection_without_reply_or_an_uneven_share) {
  evidence unserved = healthy();
  unserved.served = 9;
  EXPECT_EQ(judge(unserved).found, verdict::starved);
  EXPECT_THAT(judge(unserved).reasons[0], HasSubstr("1 of 10 connections"));
  evidence uneven = healthy();
  uneven.spread.jain_index = 0.89;
  EXPECT_EQ(judge(uneven).found, verdict::starved);
}

TEST(verdict, uneven_loops_are_a_reason_but_no_verdict) {
  evidence given = healthy();
  given.spread.connections_per_loop = {16, 10};
  EXPECT_EQ(judge(given).found, verdict::valid);
  EXPECT_THAT(judge(given).reasons[0], HasSubstr("10 to 16"));
  given.spread.connections_per_loop = {15, 10};
  EXPECT_THAT(judge(given).reasons, IsEmpty());
}

TEST(verdict, the_gravest_wins_and_stands_first_and_nothing_is_left_out) {
  evidence given = with_error(load_error::refused);
  given.errors[static_cast<std::size_t>(load_error::corrupt)] = 1;
  given.client_busy = 1;
  given.server_busy = 0.2;
  given.served = 3;
  given.idle_share = 0.5;
  const auto judged = judge(given);
  EXPECT_EQ(judged.found, verdict::wrong_replies);
  ASSERT_EQ(judged.reasons.size(), 5U);
  EXPECT_THAT(judged.reasons[0], HasSubstr("wrong replies"));
  EXPECT_THAT(judged.reasons[1], HasSubstr("refused"));
  EXPECT_THAT(judged.reasons[2], HasSubstr("client thread had work"));
  EXPECT_THAT(judged.reasons[3], HasSubstr("got no reply"));
  EXPECT_THAT(judged.reasons[4], HasSubstr("not driven"));
}

TEST(verdict, a_restless_server_is_a_reason_but_no_verdict) {
  evidence given = healthy();
  given.idle_share = 0.02;
  EXPECT_EQ(judge(given).found, verdict::valid);
  EXPECT_THAT(judge(given).reasons[0], HasSubstr("2.0 %"));
  given.idle_share = 0.01;
  EXPECT_THAT(judge(given).reasons, IsEmpty());
}

TEST(verdict, names_are_those_of_the_result_file) {
  EXPECT_EQ(name_of(verdict::wrong_replies), "wrong-replies");
  EXPECT_EQ(name_of(verdict::errors), "errors");
  EXPECT_EQ(name_of(verdict::client_bound), "client-bound");
  EXPECT_EQ(name_of(verdict::overloaded), "overloaded");
  EXPECT_EQ(name_of(verdict::starved), "starved");
  EXPECT_EQ(name_of(verdict::valid), "valid");
}

TEST(verdict, what_the_system_counted_is_reported_and_does_not_change_the_verdict) {
  evidence overflown = healthy();
  overflown.listen_overflows = 3;
  evidence sent_again = healthy();
  sent_again.retransmissions = 4;
  evidence stolen = healthy();
  stolen.stolen_share = 0.021;
  evidence near_ceiling = healthy();
  near_ceiling.ceiling_share = 0.93;
  const struct {
    evidence of;
    const char* says;
  } table[] = {{overflown, "3 connection(s) found the accept queue"},
               {sent_again, "4 TCP segment(s) were sent again"},
               {stolen, "the hypervisor took 2.1 %"},
               {near_ceiling, "93 % of what this client reaches"}};
  for (const auto& row : table) {
    const auto judged = judge(row.of);
    EXPECT_EQ(judged.found, verdict::valid);
    EXPECT_THAT(judged.reasons, testing::ElementsAre(HasSubstr(row.says)));
  }
  evidence little = healthy();
  little.stolen_share = 0.019;
  little.ceiling_share = 0.89;
  EXPECT_THAT(judge(little).reasons, IsEmpty());
}

TEST(verdict, a_schedule_is_clean_or_doubtful_or_void) {
  evidence open = healthy();
  open.open_loop = true;
  const struct {
    double kept;
    verdict expected;
    std::size_t reasons;
  } table[] = {{0.9995, verdict::valid, 0},
               {0.9985, verdict::valid, 1},
               {0.951, verdict::valid, 1},
               {0.949, verdict::client_bound, 1}};
  for (const auto& row : table) {
    open.on_schedule = row.kept;
    EXPECT_EQ(judge(open).found, row.expected) << row.kept;
    EXPECT_EQ(judge(open).reasons.size(), row.reasons) << row.kept;
  }
}

TEST(verdict, fewer_requests_in_flight_than_asked_for_are_starved) {
  evidence given = healthy();
  given.concurrency_asked = 100;
  given.concurrency = 81;
  EXPECT_EQ(judge(given).found, verdict::valid);
  given.concurrency = 79;
  EXPECT_EQ(judge(given).found, verdict::starved);
  EXPECT_THAT(judge(given).reasons,
              testing::ElementsAre(HasSubstr("79.0 requests were in flight on average")));
}

}  // namespace
}  // namespace echobench
