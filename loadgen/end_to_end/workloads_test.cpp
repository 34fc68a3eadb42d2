// The shapes of load that echo-load can make.
#include "common/frame.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cmath>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

// Notes something of each request, and answers it.
template <class Note>
fixture_server::behaviour noting(Note note) {
  return [note](fixture_server::connection& peer) {
    for (message frame = peer.read_frame(); !frame.empty(); frame = peer.read_frame()) {
      note(decode_header(std::span(frame).template first<frame_header_size>()));
      if (!peer.write(frame_reply(std::move(frame)))) return;
    }
  };
}

TEST(workloads, payloads_have_the_sizes_that_were_asked_for) {
  std::mutex mutex;
  std::vector<std::uint32_t> sizes;
  fixture_server server(noting([&](const frame_header& request) {
    const std::lock_guard lock(mutex);
    sizes.push_back(request.length);
  }));
  program run(briefly({"--payload", "mix:16-40@9,4k@1", "-d", "1s", server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const std::lock_guard lock(mutex);
  const auto large = static_cast<double>(std::ranges::count(sizes, 4000U));
  const auto all = static_cast<double>(sizes.size());
  ASSERT_GT(all, 100);
  EXPECT_NEAR(large / all, 0.1, 5 * std::sqrt(0.1 * 0.9 / all));
  for (const auto size : sizes) EXPECT_TRUE(size == 4000 || (size >= 16 && size <= 40)) << size;
  EXPECT_EQ(run.result()["config"]["payload"], "mix:16-40@9,4k@1");
  EXPECT_THAT(run.out(), HasSubstr("mix:16-40@9,4k@1 B payload"));
}

TEST(workloads, operations_of_a_mix_are_reported_separately) {
  fixture_server server([](auto& peer) {
    for (message frame = peer.read_frame(); !frame.empty(); frame = peer.read_frame()) {
      const auto header = decode_header(std::span(frame).template first<frame_header_size>());
      if (header.op == frame_op::sleep) std::this_thread::sleep_for(std::chrono::microseconds(header.param));
      if (!peer.write(frame_reply(std::move(frame)))) return;
    }
  });
  for (const char* rate : {"closed", "400"}) {
    auto arguments = briefly({"--op", "mix:echo@1,sleep:3ms@1", "-d", "2s", server.address()});
    if (rate != std::string("closed")) arguments.insert(arguments.end(), {"-R", rate});
    program run(arguments);
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json cell = run.cell();
    const json operations = cell["by_operation_ns"];
    EXPECT_GE(operations["sleep:3ms"]["p50"], 3'000'000);
    EXPECT_LT(operations["echo"]["p50"], operations["sleep:3ms"]["p50"]);
    const json all = cell[rate == std::string("closed") ? "service_ns" : "response_ns"];
    EXPECT_EQ(operations["echo"]["count"].get<int>() + operations["sleep:3ms"]["count"].get<int>(),
              all["count"]);
    EXPECT_THAT(run.out(), HasSubstr("sleep:3ms: "));
  }
}

TEST(workloads, a_stream_is_reported_in_bytes_each_way) {
  fixture_server server(behaviours::echo_bytes);
  program run(
      briefly({"--workload", "stream", "--framing", "raw", "--payload", "16k", "-c", "2", server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["errors"], json::object());
  const auto in = cell["bytes_in"].get<double>();
  EXPECT_GT(in, 1e6);
  EXPECT_NEAR(cell["bytes_out"].get<double>() / in, 1, 0.5);
  EXPECT_GE(in, cell["requests"].get<double>() * 16'000 - 2 * 16 * 16'000);
  EXPECT_DOUBLE_EQ(cell["bytes_in_per_s"].get<double>(), in * 1e9 / cell["measured_ns"].get<double>());
  EXPECT_EQ(run.result()["config"]["pipeline"], 16);
  EXPECT_THAT(run.out(), HasSubstr("MB/s to the server"));
}

TEST(workloads, thinking_connections_ask_no_faster_than_they_think) {
  fixture_server server(behaviours::echo_frames);
  for (const char* think : {"20ms", "exp:20ms"}) {
    program run({"-c", "10", "-d", "1s", "--warmup", "0", "--think", think, server.address()});
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json cell = run.cell();
    const double most = think == std::string("20ms") ? 510 : 600;
    EXPECT_LE(cell["requests_total"], most);
    EXPECT_GT(cell["requests_total"], 20);
    EXPECT_EQ(run.result()["config"]["think_ns"], 20'000'000);
  }
}

TEST(workloads, bursts_leave_the_rest_of_the_time_free) {
  std::mutex mutex;
  std::vector<std::chrono::steady_clock::time_point> times;
  fixture_server server(noting([&](const frame_header&) {
    const std::lock_guard lock(mutex);
    times.push_back(std::chrono::steady_clock::now());
  }));
  program run({"-c", "5", "-R", "100", "--arrivals", "uniform", "-d", "2s", "--warmup", "0", "--bursts",
               "100ms/400ms", server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["requests_total"], 200);
  // Between four bursts; a client that is kept from its CPU for as long as one lasts misses it.
  const auto gaps = [&] {
    const std::lock_guard lock(mutex);
    std::ranges::sort(times);
    std::size_t count = 0;
    for (std::size_t i = 1; i < times.size(); ++i) count += times[i] - times[i - 1] > 100ms;
    times.clear();
    return count;
  };
  EXPECT_GE(gaps(), 3U);

  program closed({"-c", "5", "-d", "2s", "--warmup", "0", "--bursts", "100ms/400ms", server.address()});
  ASSERT_EQ(closed.wait(), exit_ok) << closed.err();
  EXPECT_GE(gaps(), 3U);
}

TEST(workloads, slow_readers_load_the_server_and_are_not_counted) {
  std::atomic<std::uint64_t> read_of_slow = 0;
  fixture_server server([&](auto& peer) {
    for (message frame = peer.read_frame(); !frame.empty(); frame = peer.read_frame()) {
      if (peer.number() >= 5) read_of_slow += frame.size();
      if (!peer.write(frame_reply(std::move(frame)))) return;
    }
  });
  program run(briefly({"--slow-readers", "2", "--slow-read-rate", "1k", "-d", "1s", server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["errors"], json::object());
  EXPECT_EQ(cell["connections"]["asked"], 7);
  EXPECT_EQ(cell["connections"]["opened"], 7);
  EXPECT_EQ(cell["connections"]["served"], 5);
  EXPECT_GT(read_of_slow, 10 * 1000U) << "more than they have read of its replies";
}

TEST(workloads, several_requests_of_a_connection_are_in_flight_when_they_are_due) {
  fixture_server server([](auto& peer) {  // answers two at a time
    for (;;) {
      message first = peer.read_frame();
      message second = peer.read_frame();
      if (second.empty() || !peer.write(frame_reply(std::move(first)))) return;
      if (!peer.write(frame_reply(std::move(second)))) return;
    }
  });
  program run({"-c", "1", "-R", "400", "--arrivals", "uniform", "--pipeline", "2", "-d", "1s", "--warmup",
               "0", server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["requests_total"], 400);
  program alone(
      {"-c", "1", "-R", "400", "-d", "300ms", "--warmup", "0", "--timeout", "300ms", server.address()});
  EXPECT_EQ(alone.wait(), exit_failed) << "with one at a time it never answers";
  EXPECT_GT(alone.cell()["requests_waiting_for_pipeline"], 50);
}

TEST(workloads, requests_due_while_the_pipeline_is_full_are_counted) {
  fixture_server server(behaviours::tamper([](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(4ms);
    return reply;
  }));
  program run(
      {"-c", "1", "-R", "500", "--arrivals", "uniform", "-d", "500ms", "--warmup", "0", server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_GT(cell["requests_waiting_for_pipeline"], 200);
  EXPECT_EQ(cell["requests_due"], 250);
  EXPECT_TRUE(cell["histograms"].contains("send_delay"));
  EXPECT_THAT(run.out(), HasSubstr("due while the pipeline was full"));
}

TEST(workloads, the_kernels_timestamps_separate_the_client_from_the_server) {
  fixture_server server(behaviours::tamper([](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(5ms);
    return reply;
  }));
  for (const char* rate : {"closed", "500"}) {
    auto arguments = briefly({"--accuracy", "-d", "1s", server.address()});
    if (rate != std::string("closed")) arguments.insert(arguments.end(), {"-R", rate});
    if (std::getenv("ECHO_LOAD_ENGINE") != nullptr) arguments.insert(arguments.end(), {"--engine", "auto"});
    program run(arguments);
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    EXPECT_EQ(run.result()["config"]["engine"], "epoll");
    const json cell = run.cell();
    const json kernel = cell["kernel_ns"];
    EXPECT_GE(kernel["outside"]["count"].get<double>(), 0.9 * cell["service_ns"]["count"].get<double>());
    EXPECT_GE(kernel["outside"]["mean"], 5'000'000);
    EXPECT_GT(kernel["sending"]["mean"], 0);
    EXPECT_LT(kernel["client"].value("p50", 0), kernel["outside"].value("p50", 5'000'000))
        << "the server sleeps";
    EXPECT_NEAR(kernel["sending"]["mean"].get<double>() + kernel["outside"]["mean"].get<double>() +
                    kernel["receiving"]["mean"].get<double>(),
                cell["service_ns"]["mean"].get<double>(), 500'000);
    EXPECT_EQ(kernel["handshake"]["count"], 5);
    EXPECT_THAT(run.out(), HasSubstr("wire and server"));
  }
}

TEST(workloads, the_ceiling_of_the_client_stands_next_to_its_figures) {
  fixture_server server(behaviours::echo_bytes);
  fixture_server frames(behaviours::echo_frames);
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--framing", "raw", server.address()},
           {"--framing", "line", "--payload", "uniform:1-9", server.address()},
           {"--pipeline", "4", "--payload", "20k", frames.address()},
           {"--workload", "crr", frames.address()},
           {"-R", "100", frames.address()}}) {
    auto all = briefly(arguments);
    all.insert(all.end(), {"--ceiling", "500ms"});
    program run(all);
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json ceiling = run.result()["client_ceiling"];
    EXPECT_GT(ceiling["throughput_per_s"], 100.0);
    EXPECT_GT(ceiling["client_busy"], 0.0);
    EXPECT_EQ(run.cell()["errors"], json::object());
    EXPECT_THAT(run.out(), HasSubstr("against a null server"));
  }
}

TEST(workloads, the_engine_is_reported_with_the_reason) {
  fixture_server server(behaviours::echo_frames);
  for (const std::string engine : {"epoll", "auto"}) {
    program run(briefly({"--engine", engine, server.address()}));
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json config = run.result()["config"];
    EXPECT_TRUE(engine == "auto" || config["engine"] == engine);
    EXPECT_FALSE(config["engine_reason"].get<std::string>().empty());
    EXPECT_THAT(run.out(), HasSubstr(config["engine"].get<std::string>()));
  }
}

}  // namespace
}  // namespace echobench
