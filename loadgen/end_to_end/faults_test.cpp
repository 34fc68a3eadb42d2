// What echo-load reports of servers that fail, and of command lines that are wrong.
#include "common/frame.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

TEST(echo_load, nobody_listening_is_named) {
  const unserved_address nobody;
  for (const char* kind : {"rr", "crr"}) {
    program run(briefly({"--workload", kind, nobody.to_string()}));
    EXPECT_EQ(run.wait(), exit_failed);
    EXPECT_THAT(run.err(), AllOf(HasSubstr(nobody.to_string()), HasSubstr("nothing listens there")));
    EXPECT_EQ(run.cell()["errors"]["refused"], 5);
    EXPECT_EQ(run.cell()["verdict"], "errors");
  }
}

TEST(echo_load, a_target_that_closes_at_once_is_named) {
  fixture_server server(behaviours::close_at_once);
  program run(briefly({server.address()}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), AllOf(HasSubstr(server.address()), HasSubstr("closed every connection")));
}

TEST(echo_load, a_target_that_never_answers_is_given_up_after_the_timeout) {
  fixture_server server(behaviours::never_answer);
  program run(briefly({"--timeout", "300ms", server.address()}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), AllOf(HasSubstr(server.address()), HasSubstr("--timeout 300ms")));
  EXPECT_EQ(run.cell()["errors"]["timeout"], 5);
}

TEST(echo_load, a_wrong_byte_fails_the_run_and_yields_no_figure) {
  fixture_server server(behaviours::tamper([](std::size_t connection, std::size_t number, message reply) {
    if (connection == 2 && number == 2) reply.back() ^= std::byte{1};
    return reply;
  }));
  program run(briefly({"--strict", server.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  EXPECT_EQ(run.cell()["errors"]["corrupt"], 1);
  EXPECT_EQ(run.cell()["verdict"], "wrong-replies");
  EXPECT_THAT(run.out(), AllOf(HasSubstr("wrong-replies"), HasSubstr("corrupt 1")));
}

TEST(echo_load, replies_swapped_between_connections_are_wrong) {
  fixture_server server(behaviours::swapping());
  program run(briefly({"-c", "2", server.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  EXPECT_EQ(run.cell()["errors"]["corrupt"], 2);
}

TEST(echo_load, a_server_that_speaks_first_is_wrong) {
  fixture_server server(behaviours::greet);
  program run(briefly({"-c", "50", server.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  const json errors = run.cell()["errors"];  // corrupt where a request had gone out before the greeting came
  EXPECT_EQ(errors.value("unsolicited", 0) + errors.value("corrupt", 0), 50);
}

TEST(echo_load, a_reply_given_twice_is_wrong) {
  fixture_server server(behaviours::tamper([](std::size_t, std::size_t number, message reply) {
    const message once = reply;
    if (number == 1) reply.insert(reply.end(), once.begin(), once.end());
    return reply;
  }));
  program run(briefly({server.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  EXPECT_EQ(run.cell()["errors"]["unsolicited"], 5);
}

TEST(echo_load, failures_to_reply_are_counted_by_kind) {
  const auto first_only = [](auto change) {
    return behaviours::tamper([change](std::size_t connection, std::size_t number, message reply) {
      return connection == 0 && number == 2 ? change(std::move(reply)) : reply;
    });
  };
  const struct {
    const char* kind;
    fixture_server::behaviour serve;
  } table[] = {{"short", first_only([](const message&) { return message(); })},
               {"rejected", first_only([](message reply) {
                  reply.resize(frame_header_size);
                  const auto wire = std::span(reply).first<frame_header_size>();
                  encode_header(reply_to(decode_header(wire), frame_status::too_large), wire);
                  return reply;
                })},
               {"reset", [](fixture_server::connection& peer) {
                  if (peer.number() != 0) return behaviours::echo_frames(peer);
                  peer.read_frame();
                  set_reset_on_close(peer.fd());
                }}};
  for (const auto& row : table) {
    fixture_server server(row.serve);
    program run(briefly({server.address()}));
    EXPECT_EQ(run.wait(), exit_ok) << row.kind << run.err();
    EXPECT_EQ(run.cell()["errors"], (json{{row.kind, 1}}));
    EXPECT_EQ(run.cell()["verdict"], "errors");
  }
}

TEST(echo_load, strict_makes_a_cell_that_is_not_valid_an_exit_status) {
  fixture_server server([](auto& peer) {
    if (peer.number() != 0) behaviours::echo_frames(peer);
  });
  program run(briefly({"--strict", server.address()}));
  EXPECT_EQ(run.wait(), exit_not_valid);
  EXPECT_EQ(run.cell()["verdict"], "errors");
}

TEST(echo_load, usage_is_refused_in_one_line_that_names_the_option) {
  const struct {
    std::vector<std::string> arguments;
    const char* named;
  } table[] = {{{"-c", "0", "127.0.0.1:1"}, "--connections"},
               {{"-R", "-1", "127.0.0.1:1"}, "--rate"},
               {{"127.0.0.1"}, "TARGET"},
               {{"--engine", "kqueue", "127.0.0.1:1"}, "epoll|io-uring|auto"}};
  for (const auto& row : table) {
    program run(row.arguments);
    EXPECT_EQ(run.wait(), exit_usage) << row.named;
    EXPECT_THAT(run.err(), HasSubstr(row.named));
    EXPECT_EQ(std::ranges::count(run.err(), '\n'), 1) << run.err();
  }
}

TEST(echo_load, arguments_that_are_not_utf8_lose_no_result) {
  fixture_server server(behaviours::echo_frames);
  program named({"-d", "10m", "caf\xe9=" + server.address()});
  EXPECT_EQ(named.wait(), exit_usage);
  EXPECT_THAT(named.err(), AllOf(HasSubstr("TARGET"), HasSubstr("UTF-8")));

  const std::string file = std::filesystem::temp_directory_path() / ("caf\xe9-" + std::to_string(::getpid()));
  program elsewhere(briefly({"--hdr", file, "caf\u00e9=" + server.address()}));
  EXPECT_EQ(elsewhere.wait(), exit_ok) << elsewhere.err();
  EXPECT_TRUE(std::filesystem::remove(file));
  EXPECT_EQ(elsewhere.cell()["variant"], "caf\u00e9");
}

TEST(echo_load, too_few_descriptors_are_named_with_the_number_needed) {
  program run({"-c", "1000", "127.0.0.1:1"}, "ulimit -n 200;");
  EXPECT_EQ(run.wait(), exit_usage);
  EXPECT_THAT(run.err(), AllOf(HasSubstr("--connections 1000"), HasSubstr("200"), HasSubstr("1033")));
  program idle({"-c", "10", "--idle-connections", "1k", "127.0.0.1:1"}, "ulimit -n 200;");
  EXPECT_EQ(idle.wait(), exit_usage);
  EXPECT_THAT(idle.err(), AllOf(HasSubstr("--idle-connections 1000"), HasSubstr("200"), HasSubstr("1043")));
}

TEST(echo_load, a_server_pid_that_does_not_exist_is_named) {
  fixture_server server(behaviours::echo_frames);
  program run(briefly({"--server-pid", "999999999", server.address()}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), HasSubstr("--server-pid 999999999"));
}

TEST(echo_load, a_result_file_that_cannot_be_written_is_named_before_the_run) {
  program run({"-d", "10m", "--json", "/no/such/folder/x.json", "127.0.0.1:1"});
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), HasSubstr("/no/such/folder/x.json"));
}

// Standard streams.

TEST(echo_load, a_standard_output_that_is_closed_is_refused_before_the_run) {
  std::atomic<int> accepted = 0;
  fixture_server server([&](auto& peer) {
    ++accepted;
    behaviours::echo_frames(peer);
  });
  for (const std::string closed : {"exec >&-;", "exec <&- >&-;"}) {
    program run({"-d", "10m", server.address()}, closed);
    EXPECT_EQ(run.wait(), exit_failed);
    EXPECT_THAT(run.err(), HasSubstr("standard output is closed"));
  }
  EXPECT_EQ(accepted, 0);
}

TEST(echo_load, other_standard_streams_that_are_closed_are_not_missed) {
  fixture_server server(behaviours::echo_frames);
  program run(briefly({server.address()}), "exec <&- 2>&-;");
  EXPECT_EQ(run.wait(), exit_ok);
  EXPECT_EQ(run.cell()["errors"], json::object());
  EXPECT_THAT(run.out(), HasSubstr("requests/s"));
}

TEST(standard_output, that_is_full_fails_every_program) {
  for (const std::string command : {ECHO_LOAD " --help", ECHO_LOAD " --version", ECHO_SCHEDULED_SERVER}) {
    const int status = std::system(("timeout 20 " + command + " >/dev/full 2>/dev/null").c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == exit_failed) << command << ' ' << status;
  }
}

// What was due after the last connection was lost is dropped; it was not sent on time, nor early.
TEST(echo_load, a_schedule_that_nobody_is_left_to_keep_is_not_on_time) {
  fixture_server server(behaviours::tamper(
      [](std::size_t, std::size_t number, message reply) { return number == 20 ? message() : reply; }));
  program run({"-c", "4", "-R", "1k", "-d", "5m", "--warmup", "0", server.address()});
  EXPECT_EQ(run.wait(), exit_ok) << run.err();  // as soon as the last is lost
  const json cell = run.cell();
  EXPECT_EQ(cell["errors"]["short"], 4);
  EXPECT_LE(cell["send_delay_ns"]["count"], 4 * 30);
  EXPECT_GT(cell["requests_dropped"], 100'000);
}

TEST(echo_load, an_interrupt_keeps_what_was_measured) {
  std::atomic<int> replies = 0;
  fixture_server server(behaviours::tamper([&](std::size_t, std::size_t, message reply) {
    ++replies;
    return reply;
  }));
  program run({"-c", "3", "-d", "10m", "--warmup", "0", server.address()});
  while (replies < 100) std::this_thread::sleep_for(1ms);
  run.interrupt();
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.result()["interrupted"], true);
  EXPECT_EQ(run.cell()["errors"], json::object());
  EXPECT_GT(run.cell()["requests_total"], 0);
}

TEST(echo_load, an_interrupt_without_a_reply_is_a_failure) {
  fixture_server server(behaviours::never_answer);
  program run({"-c", "3", "-d", "10m", "--timeout", "10m", server.address()});
  server.wait_until_asked();
  run.interrupt();
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_EQ(run.result()["interrupted"], true);
}

// Where and when.

TEST(echo_load, a_fault_is_reported_with_kind_time_and_connection) {
  fixture_server server(behaviours::tamper([](std::size_t connection, std::size_t number, message reply) {
    if (connection == 2 && number == 2) reply.back() ^= std::byte{1};
    return reply;
  }));
  program run(briefly({"--connect-rate", "100", server.address()}));
  EXPECT_EQ(run.wait(), exit_wrong_replies);
  const json faults = run.cell()["faults"];
  ASSERT_EQ(faults.size(), 1U);
  EXPECT_EQ(faults[0]["kind"], "corrupt");
  EXPECT_EQ(faults[0]["connection"], 2);
  EXPECT_EQ(faults[0]["request"], 2);
  EXPECT_GT(faults[0]["at_ns"], 40'000'000) << "the fifth is connected after 40 ms";
  EXPECT_THAT(run.out(), HasSubstr("corrupt on connection 2, awaiting reply 3"));
}

TEST(echo_load, what_a_server_that_dies_has_answered_is_kept) {
  auto server = std::make_unique<fixture_server>(behaviours::echo_frames);
  program run({"-c", "5", "-d", "3s", "--warmup", "0", "dies=" + server->address()});
  server->wait_until_asked();
  std::this_thread::sleep_for(300ms);
  server.reset();
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["verdict"], "errors");
  EXPECT_GT(cell["requests"], 0);
  EXPECT_EQ(cell["faults"].size(), 5U);
  for (const json& fault : cell["faults"]) EXPECT_GT(fault["at_ns"], 300'000'000);
}

TEST(echo_load, of_many_faults_the_first_are_reported_and_all_counted) {
  fixture_server server([](auto& peer) {
    if (peer.number() % 2 == 1) return behaviours::echo_frames(peer);
    peer.read_frame();
    set_reset_on_close(peer.fd());
  });
  program run(briefly({"-c", "100", "-t", "2", server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["errors"], (json{{"reset", 50}}));
  EXPECT_EQ(run.cell()["faults"].size(), 32U);
  EXPECT_GT(run.cell()["requests"], 0) << "the rest goes on";
}

}  // namespace
}  // namespace echobench
