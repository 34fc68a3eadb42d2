// Every verdict from its real cause.
#include "common/socket.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using message = fixture_server::message;
using namespace std::chrono_literals;

std::string reasons_of(const json& cell) {
  std::string all;
  for (const json& each : cell["reasons"]) all += each.get<std::string>() + '\n';
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

TEST(verdicts, a_healthy_run_gets_none) {
  fixture_server server(behaviours::tamper([](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(2ms);
    return reply;
  }));
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
    const bool kept_from_running = cell["client_busy"] > 0.8 || cell.value("schedule_adherence", 1.0) < 0.95;
    EXPECT_TRUE(cell["verdict"] == "valid" || (kept_from_running && cell["verdict"] == "client-bound"))
        << cell["verdict"] << '\n'
        << reasons_of(cell);
    EXPECT_GT(cell["effective_concurrency"], rate == std::string("closed") ? 4.0 : 0.1);
  }
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
  EXPECT_EQ(run.cell()["verdict"], "starved");
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

TEST(verdicts, a_listener_whose_backlog_is_too_small) {
  const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
  set_blocking(listener.get(), true);
  // Two fit in; the others' SYN is sent again after 1 s, and then finds somebody who accepts.
  std::jthread server([&] {
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
  program run(briefly({"-c", "12", endpoint::local_of(listener.get()).to_string()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_GT(cell["system"]["listen_overflows"], 0);
  EXPECT_THAT(reasons_of(cell), HasSubstr("accept queue"));
  EXPECT_GE(cell["connect_ns"]["max"], 1'000'000'000);
  EXPECT_GT(cell["system"]["retransmitted_segments"], 0);
}

}  // namespace
}  // namespace echobench
