#include "loadgen/report/text_report.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <cstddef>
#include <sstream>
#include <string>
#include <vector>

namespace echobench {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

// A server that answered each of `replies` requests in 1 to 1.1 ms, at 12 us of CPU each.
cell measured_cell(const std::string& name, std::uint64_t replies, std::uint64_t rate = 0) {
  cell made;
  made.driven = {.name = name, .host_and_port = "127.0.0.1:12345", .server_pid = 1};
  made.rate = rate;
  made.opened = made.served = 100;
  made.requests = made.requests_total = replies;
  made.elapsed = 1s;
  for (std::uint64_t i = 0; i < replies; ++i) {
    const auto time = 1ms + std::chrono::nanoseconds(100'000 * i / replies);
    made.record.service.record(time);
    if (rate == 0) continue;
    made.record.response.record(time);
    made.record.send_delay.record(1us);
  }
  made.record.on_schedule = made.record.send_delay.count();
  made.server.emplace();
  made.server->cpu = 12us * replies;
  made.server->end.threads = 1;
  made.server->end.rss_bytes = 5U << 20;
  return made;
}

measurement measured_of(std::vector<cell> cells) {
  measurement made;
  made.elapsed = 1s;
  made.slices.length = 20ms;
  made.cells = std::move(cells);
  return made;
}

options asking_for(const measurement& measured) {
  options asked;
  for (const cell& of : measured.cells) asked.targets.push_back(of.driven);
  asked.rate = measured.cells.front().rate;
  asked.load.messages.payloads = parse_payloads("64");
  return asked;
}

std::string summary_of(const measurement& measured) { return summary(measured, asking_for(measured)); }

TEST(text_report, fits_a_terminal) {
  for (const std::uint64_t rate : {0U, 25'000U}) {
    const auto lines = lines_of(summary_of(measured_of(
        {measured_cell("thread-per-connection", 100'000, rate), measured_cell("epoll", 100'000, rate)})));
    EXPECT_LE(lines.size(), 40U);
    for (const std::string& line : lines) EXPECT_LE(line.size(), 100U) << line;
  }
}

TEST(text_report, a_title_says_what_the_table_measures) {
  EXPECT_THAT(summary_of(measured_of({measured_cell("epoll", 1000)})),
              AllOf(HasSubstr("Closed loop, 100 connections, 64 B payload"),
                    HasSubstr("Service time, from when a request was sent until its reply"),
                    HasSubstr("server CPU per request")));
  EXPECT_THAT(
      summary_of(measured_of({measured_cell("epoll", 1000, 1000), measured_cell("poll", 1000, 1000)})),
      AllOf(HasSubstr("Open loop at 1,000 requests/s, 100 connections to each of 2 targets"),
            HasSubstr("Requests are due at random times (Poisson arrivals)"),
            HasSubstr("Response time, from when a request was due until its reply")));
}

TEST(text_report, shows_the_figures_of_a_target) {
  const auto text = summary_of(measured_of({measured_cell("epoll", 1'234'567)}));
  EXPECT_THAT(text,
              AllOf(HasSubstr("1,234,567"), HasSubstr("1.05ms"), HasSubstr("12.00"), HasSubstr("valid")));
  EXPECT_THAT(text, AllOf(HasSubstr("1,234,567 verified replies on 100 connections"),
                          HasSubstr("(1 thread); server memory 5.0MiB")));
}

TEST(text_report, a_percentile_without_samples_enough_is_left_out_and_the_reason_printed) {
  const std::string reason = "A percentile is shown only if 100 requests took longer";
  const auto few = summary_of(measured_of({measured_cell("epoll", 1000)}));
  EXPECT_THAT(few, HasSubstr(reason));
  EXPECT_THAT(lines_of(few)[4], testing::ContainsRegex("1.05ms +1.09ms +- +- +1.10ms"));
  EXPECT_THAT(summary_of(measured_of({measured_cell("epoll", 200'000)})), Not(HasSubstr(reason)));
}

TEST(text_report, wrong_replies_have_no_figures) {
  auto wrong = measured_cell("epoll", 200'000);
  wrong.judged.found = verdict::wrong_replies;
  const auto row = lines_of(summary_of(measured_of({wrong})))[4];
  EXPECT_THAT(row, testing::MatchesRegex("epoll( +-)+  wrong-replies"));
}

TEST(text_report, connections_that_failed_are_counted) {
  auto some = measured_cell("epoll", 1000);
  some.opened = 99;
  some.served = 97;
  EXPECT_THAT(summary_of(measured_of({some})),
              HasSubstr("100 connections, of which 99 opened and 97 got replies"));
  cell none;
  none.driven = {.name = "epoll", .host_and_port = "127.0.0.1:12345", .server_pid = {}};
  auto measured = measured_of({none});
  measured.elapsed = 0s;
  EXPECT_THAT(summary_of(measured), AllOf(HasSubstr("nothing measured"), HasSubstr("0 verified replies"),
                                          Not(HasSubstr("Jain")), Not(HasSubstr("CPU us/req"))));
}

}  // namespace
}  // namespace echobench
