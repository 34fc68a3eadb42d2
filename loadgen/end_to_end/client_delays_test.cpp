// What waits inside the client, or because the client was kept from its CPU, is the client's, never the
// server's.
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>

#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

const std::vector<std::string> engines{"epoll", "io-uring"};

// All replies lie in its sockets when it goes on.
TEST(client_delays, a_client_that_was_stopped_has_no_time_outs_for_it) {
  for (const auto& engine : engines) {
    fixture_server server(behaviours::answering_after(5ms));
    program run({"--engine", engine, "-c", "10", "-d", "4s", "--warmup", "100ms", "--timeout", "1s",
                 server.address()});
    server.wait_until_asked();
    std::this_thread::sleep_for(500ms);
    run.signal(SIGSTOP);
    std::this_thread::sleep_for(2s);
    run.signal(SIGCONT);
    run.wait();
    const json cell = run.cell();
    EXPECT_FALSE(cell["errors"].contains("timeout")) << engine << ": " << cell["errors"];
    EXPECT_EQ(cell["connections"]["served"], 10) << engine;
  }
}

// Four times as much is due as is served. At the end of the drain requests are in flight that were sent just
// before, and wait for their replies no longer than others did.
TEST(client_delays, a_drain_that_is_cut_short_takes_nothing_in_flight_for_a_time_out) {
  fixture_server server(behaviours::answering_after(10ms));
  for (const auto& engine : engines) {
    program run({"--engine", engine, "-c", "10", "-R", "4000", "-d", "1s", "--warmup", "50ms", "--timeout",
                 "1s", server.address()});
    run.wait();
    const json cell = run.cell();
    EXPECT_FALSE(cell["errors"].contains("timeout")) << engine << ": " << cell["errors"];
    EXPECT_GT(cell["requests_dropped"], 0) << engine;
    EXPECT_GT(cell["requests_waiting_for_pipeline"], 0) << engine;
  }
}

// What a request waits for its connection's pipeline is part of its response, and no delay of the client.
TEST(client_delays, waiting_for_the_pipeline_is_no_send_delay) {
  fixture_server server(behaviours::answering_after(20ms));
  for (const auto& engine : engines) {
    program run(
        {"--engine", engine, "-c", "5", "-R", "400", "-d", "1s", "--warmup", "50ms", server.address()});
    run.wait();
    const json cell = run.cell();
    EXPECT_GT(cell["response_ns"]["p50"], 100'000'000) << engine;
    EXPECT_LT(cell["send_delay_ns"]["p50"], 20'000'000) << engine << ": less than a single service time";
  }
}

}  // namespace
}  // namespace echobench
