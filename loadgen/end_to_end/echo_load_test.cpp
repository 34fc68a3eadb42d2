// The real program against small servers in this process: exit status, result file and words.
#include "common/frame.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"
#include "loadgen/end_to_end/program.hpp"
#include "loadgen/end_to_end/server_process.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <cstdio>
#include <latch>
#include <set>
#include <string>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

// Good servers.

TEST(echo_load, measures_a_good_server) {
  fixture_server server(behaviours::echo_frames);
  program run(briefly({"-c", "7", "-t", "2", "-d", "400ms", "good=" + server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.err(), "");
  EXPECT_THAT(run.out(), AllOf(HasSubstr("good"), HasSubstr("on 7 connections,"), HasSubstr("requests/s")));

  const json result = run.result();
  EXPECT_EQ(result["schema_version"], 2);
  EXPECT_EQ(result["interrupted"], false);
  EXPECT_EQ(result["config"]["seed"], 1);
  EXPECT_EQ(result["config"]["connections"], 7);
  EXPECT_EQ(result["argv"][0], ECHO_LOAD);
  for (const char* name : {"version", "commit", "dirty", "compiler", "flags", "libraries"}) {
    EXPECT_TRUE(result["tool"].contains(name)) << name;
  }
  for (const char* name :
       {"kernel", "cores", "mitigations", "limits", "load", "sysctls", "io_uring_allowed"}) {
    EXPECT_TRUE(result["host"].contains(name)) << name;
  }
  const json cell = run.cell();
  EXPECT_EQ(cell["target"], server.address());
  EXPECT_EQ(cell["variant"], "good");
  EXPECT_EQ(cell["connections"], (json{{"asked", 7}, {"idle", 0}, {"opened", 7}, {"served", 7}}));
  EXPECT_EQ(cell["errors"], json::object());
  EXPECT_GT(cell["requests"], 0);
  EXPECT_GE(cell["requests_total"], cell["requests"]);
  EXPECT_GT(cell["throughput_per_s"], 0.0);
  EXPECT_EQ(cell["measured_ns"], 400'000'000);
  EXPECT_NEAR(cell["throughput_per_s"].get<double>(),
              cell["requests"].get<double>() * 1e9 / cell["elapsed_ns"].get<double>(), 1e-6);
  EXPECT_GT(cell["service_ns"]["mean"], 0);
  EXPECT_EQ(cell["response_ns"], json::object()) << "closed loop has service time only";
  EXPECT_FALSE(cell.contains("server")) << "no --server-pid: nothing is guessed";
  EXPECT_FALSE(cell.contains("cpu_ns_per_request"));
  EXPECT_THAT(cell["histograms"]["service"].get<std::string>(), testing::StartsWith("HISTFAAA"));
  std::uint64_t requests = 0;
  for (const json& slice : cell["slices"]) requests += slice["requests"].get<std::uint64_t>();
  EXPECT_EQ(requests, cell["requests"]);
  EXPECT_THAT(run.hdr(), HasSubstr("Tag=good/service,"));
}

TEST(echo_load, every_framing_operation_and_size_is_checked_and_served) {
  fixture_server frames(behaviours::echo_frames);
  fixture_server bytes(behaviours::echo_bytes);
  const std::vector<std::vector<std::string>> table{
      {"--payload", "0", frames.address()},
      {"--op", "upper", "--payload", "13", frames.address()},
      {"--op", "sleep:1us", "--pipeline", "16", frames.address()},
      {"--payload", "300k", frames.address()},
      {"--framing", "line", bytes.address()},
      {"--framing", "line", "--payload", "0", "--pipeline", "3", bytes.address()},
      {"--framing", "raw", "--payload", "1", bytes.address()},
      {"--framing", "raw", "--payload", "300k", "--pipeline", "2", bytes.address()}};
  for (std::size_t i = 0; i < table.size(); ++i) {
    program run(briefly(table[i]));
    EXPECT_EQ(run.wait(), exit_ok) << i << run.err() << run.out();
    EXPECT_EQ(run.cell()["errors"], json::object()) << i;
    EXPECT_EQ(run.cell()["connections"]["served"], 5) << i;
  }
}

TEST(echo_load, a_peer_that_reads_slowly_gets_everything) {
  fixture_server server(behaviours::read_slowly);
  program run(
      briefly({"--framing", "raw", "--payload", "1M", "-c", "2", "--timeout", "10s", server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err() << run.out();
  EXPECT_EQ(run.cell()["errors"], json::object());
}

TEST(echo_load, drives_ipv6) {
  fixture_server server(behaviours::echo_frames, "::1");
  program run(briefly({server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
}

TEST(echo_load, connects_no_faster_than_asked) {
  fixture_server server(behaviours::echo_frames);
  const auto start = std::chrono::steady_clock::now();
  program run(briefly({"-c", "21", "-t", "2", "--connect-rate", "50", server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_GE(std::chrono::steady_clock::now() - start, 400ms + 250ms) << "20 gaps, warm-up and measurement";
}

TEST(echo_load, crr_opens_a_connection_for_each_request) {
  std::atomic<std::uint64_t> accepted = 0;
  fixture_server server([&](auto& peer) {
    ++accepted;
    behaviours::echo_frames(peer);
  });
  program run(briefly({"--workload", "crr", server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["errors"], json::object());
  EXPECT_EQ(cell["connections"]["served"], 5);
  EXPECT_GE(accepted, cell["requests_total"].get<std::uint64_t>());
}

TEST(echo_load, crr_takes_a_close_after_the_reply_as_normal) {
  fixture_server server([](auto& peer) {
    peer.write(frame_reply(peer.read_frame()));
    set_reset_on_close(peer.fd());
  });
  program run(briefly({"--workload", "crr", server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["errors"], json::object());
}

TEST(echo_load, idle_connections_are_opened_and_carry_nothing) {
  std::atomic<int> accepted = 0;
  std::atomic<int> silent = 0;
  fixture_server server([&](auto& peer) {
    ++accepted;
    const message first = peer.read_frame();
    if (first.empty()) {
      ++silent;
      return;
    }
    peer.write(frame_reply(first));
    behaviours::echo_frames(peer);
  });
  for (const char* rate : {"closed", "1k"}) {
    accepted = silent = 0;
    auto arguments = briefly({"--idle-connections", "151", "-t", "2", "--rounds", "1", "--timeout", "20s",
                              server.address(), server.address()});
    if (rate != std::string("closed")) arguments.insert(arguments.end(), {"-R", rate, "--slice", "100ms"});
    program run(arguments);
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    for (int i = 0; i < 10'000 && (accepted < 2 * 156 || silent < 2 * 151); ++i) {
      std::this_thread::sleep_for(1ms);
    }
    EXPECT_EQ(accepted, 2 * 156);
    EXPECT_EQ(silent, 2 * 151);
    EXPECT_THAT(run.out(), HasSubstr("connecting: "));
    const json result = run.result();
    for (const json& cell : result["cells"]) {
      EXPECT_EQ(cell["errors"], json::object());
      EXPECT_EQ(cell["connections"], (json{{"asked", 156}, {"idle", 151}, {"opened", 156}, {"served", 5}}));
      EXPECT_EQ(cell["connect_ns"]["count"], 156);
      EXPECT_GT(cell["connects_per_s"], 0.0);
    }
  }
}

TEST(echo_load, idle_connections_stay_open_next_to_connections_per_request) {
  fixture_server server(behaviours::echo_frames);
  program run(briefly({"--workload", "crr", "--idle-connections", "3", server.address()}));
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_EQ(cell["errors"], json::object());
  EXPECT_EQ(cell["connections"]["opened"], 8);
  EXPECT_GE(cell["connect_ns"]["count"], cell["service_ns"]["count"]) << "those of requests alone";
}

TEST(echo_load, an_idle_connection_that_the_server_closes_is_an_error) {
  std::latch closed(2);
  fixture_server server([&](auto& peer) {
    if (peer.number() < 5) {
      closed.wait();
      return behaviours::echo_frames(peer);
    }
    ::shutdown(peer.fd(), SHUT_RDWR);
    closed.count_down();
  });
  program run(briefly({"--idle-connections", "2", server.address()}));
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.cell()["errors"], (json{{"short", 2}}));
  EXPECT_EQ(run.cell()["connections"]["served"], 5);
}

// The client's own time.

TEST(echo_load, a_client_that_was_kept_from_running_was_busy) {
  // To be stopped is neither CPU time nor waiting for a CPU, just as time that a hypervisor takes.
  fixture_server server(behaviours::tamper([](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(5ms);
    return reply;
  }));
  EXPECT_TRUE(one_of_three([&] {
    program run(briefly({"--busy-poll", "-c", "1", "-d", "1s", server.address()}));
    const auto start = std::chrono::steady_clock::now();
    std::chrono::nanoseconds stopped{0};
    while (!run.ended()) {
      const auto before = std::chrono::steady_clock::now();
      run.signal(SIGSTOP);
      std::this_thread::sleep_for(40ms);
      run.signal(SIGCONT);
      stopped += std::chrono::steady_clock::now() - before;
      std::this_thread::sleep_for(10ms);
    }
    const auto all = std::chrono::steady_clock::now() - start;
    EXPECT_EQ(run.wait(), exit_ok) << run.err();
    const double share = std::chrono::duration<double>(stopped) / all;  // of its whole life
    return run.cell()["client_busy"].get<double>() >= share - 0.2;
  }));
}

TEST(echo_load, busy_polling_never_sleeps_and_is_part_of_the_result) {
  fixture_server server(behaviours::echo_frames);
  for (const char* rate : {"closed", "2k"}) {
    auto arguments = briefly({server.address()});
    if (rate != std::string("closed")) arguments.insert(arguments.end(), {"-R", rate});
    program sleeping(arguments);
    ASSERT_EQ(sleeping.wait(), exit_ok) << sleeping.err();
    EXPECT_EQ(sleeping.result()["config"]["busy_poll"], false);
    EXPECT_EQ(sleeping.cell()["busy_poll"], false);
    EXPECT_GT(sleeping.cell()["client_blocked_ns"], 0);

    arguments.push_back("--busy-poll");
    program polling(arguments);
    ASSERT_EQ(polling.wait(), exit_ok) << polling.err();
    EXPECT_EQ(polling.result()["config"]["busy_poll"], true);
    EXPECT_EQ(polling.cell()["busy_poll"], true);
    EXPECT_EQ(polling.cell()["client_blocked_ns"], 0);
    EXPECT_GT(polling.cell()["client_polling_ns"], 0);
  }
}

// The open loop.

TEST(echo_load, open_loop_sends_what_the_schedule_holds) {
  fixture_server server(behaviours::echo_frames);
  for (const char* workers : {"1", "3"}) {
    program run({"-c", "7", "-t", workers, "-R", "501", "--arrivals", "uniform", "-d", "1s", "--warmup",
                 "100ms", server.address()});
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json cell = run.cell();
    // The warm-up held an uneven part of the schedule, so that the measured part may hold one more or less.
    EXPECT_NEAR(cell["requests_due"].get<double>(), 501, 1);
    EXPECT_EQ(cell["requests_total"], cell["requests_due"]);
    EXPECT_EQ(cell["response_ns"]["count"], cell["requests_due"]);
    EXPECT_EQ(cell["requests_dropped"], 0);
    EXPECT_GE(cell["response_ns"]["mean"], cell["service_ns"]["mean"]);
    EXPECT_TRUE(cell.contains("schedule_adherence"));
  }
}

TEST(echo_load, open_loop_counts_the_wait_that_a_stall_causes) {
  fixture_server server(behaviours::stalling(100ms, 400ms));
  // Two longer stalls of the machine would make that percentile, which is left out then.
  EXPECT_TRUE(one_of_three([&] {
    program run(
        {"-c", "10", "-R", "500", "--arrivals", "uniform", "-d", "4s", "--warmup", "0", server.address()});
    EXPECT_EQ(run.wait(), exit_ok) << run.err();
    const json cell = run.cell();
    EXPECT_EQ(cell["errors"], json::object());
    EXPECT_EQ(cell["requests_total"], 2000);
    // Waiting adds 12.5 ms to the mean response; of the service time the ten in flight at each stall add 5
    // ms.
    EXPECT_GT(cell["response_ns"]["mean"].get<double>(), cell["service_ns"]["mean"].get<double>() + 4e6)
        << "the service time hides the rest";
    // A quarter of the requests is due during a stall and waits evenly between 0 and 100 ms: one in ten waits
    // 60 ms.
    return cell["response_ns"].contains("p90") && cell["response_ns"]["p90"] >= 58'000'000 &&
           cell["response_ns"]["events"]["p90"] >= 5;
  }));
}

TEST(echo_load, a_backlog_takes_no_memory) {
  const auto slow = behaviours::tamper([](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(20ms);
    return reply;
  });
  fixture_server server(slow);
  std::vector<std::int64_t> peaks;
  for (const char* rate : {"1k", "4M"}) {
    program run({"-c", "2", "-R", rate, "--arrivals", "uniform", "-d", "1s", "--warmup", "0", "--timeout",
                 "1s", server.address()});
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json cell = run.cell();
    EXPECT_GT(cell["requests_dropped"], 0);
    EXPECT_EQ(cell["requests_due"].get<std::uint64_t>(), rate == std::string("1k") ? 1000U : 4'000'000U);
    peaks.push_back(run.peak_memory_bytes());
  }
  EXPECT_LT(peaks[1] - peaks[0], 8 << 20);
}

TEST(echo_load, poisson_arrivals_repeat_with_the_seed) {
  fixture_server server(behaviours::echo_frames);
  std::set<std::uint64_t> due;
  for (const char* seed : {"5", "5", "6"}) {
    program run({"-c", "3", "-R", "2000", "--arrivals", "poisson", "--seed", seed, "-d", "300ms", "--warmup",
                 "0", server.address()});
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    due.insert(run.cell()["requests_due"].get<std::uint64_t>());
  }
  EXPECT_EQ(due.size(), 2U);
}

TEST(echo_load, a_percentile_that_rests_on_one_stall_is_not_shown) {
  fixture_server server(behaviours::stalling(600ms, 100s));
  program run({"-c", "10", "-R", "350", "--arrivals", "uniform", "-d", "3s", "--slice", "60ms", "--warmup",
               "0", server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_TRUE(cell["response_ns"].contains("p50"));
  EXPECT_FALSE(cell["response_ns"].contains("p90")) << "105 samples lie beyond it, all of the first 210";
  EXPECT_GE(cell["response_ns"]["max"], 500'000'000);
  EXPECT_THAT(run.out(), HasSubstr("in 50 windows made it"));
}

// Several targets.

TEST(echo_load, targets_take_turns_in_rounds) {
  const server_process one(behaviours::echo_frames);
  const server_process two(behaviours::echo_frames);
  program run({"-c", "4", "-d", "300ms", "--rounds", "3", "--warmup", "100ms", "--server-pid", one.pid(),
               "--server-pid", two.pid(), "b=" + one.address(), "a=" + two.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cells = run.result()["cells"];
  ASSERT_EQ(cells.size(), 2U);
  EXPECT_EQ(cells[0]["variant"], "b");
  EXPECT_EQ(cells[1]["variant"], "a");
  ASSERT_EQ(cells[0]["slices"].size(), cells[1]["slices"].size());
  ASSERT_GE(cells[0]["slices"].size(), 3U);
  for (const json& cell : cells) {
    std::size_t round = 0;
    for (const json& slice : cell["slices"]) {
      EXPECT_EQ(slice["index"], round++);
      EXPECT_GT(slice["settling_ns"], 0);
      const auto measured = slice["slice_ns"].get<std::int64_t>() - slice["settling_ns"].get<std::int64_t>();
      EXPECT_NEAR(slice["elapsed_ns"].get<double>(), static_cast<double>(measured),
                  static_cast<double>(measured) / slice["requests"].get<double>())
          << "but for what makes the number of requests whole";
      EXPECT_GE(slice["requests_total"], slice["requests"]);
      EXPECT_TRUE(slice.contains("server_cpu_ns"));
    }
    for (const char* name :
         {"pid", "cpu_user_ns", "cpu_system_ns", "cpu_children_ns", "idle_cpu_ns", "rss_base_bytes",
          "rss_bytes", "page_table_base_bytes", "page_table_bytes", "threads_base", "threads",
          "voluntary_switches", "involuntary_switches", "minor_faults", "major_faults",
          "kernel_stack_estimate_bytes", "per_request", "system"}) {
      EXPECT_TRUE(cell["server"].contains(name)) << name;
    }
    EXPECT_GE(cell["server"]["threads"], 4) << "a thread for each connection";
    EXPECT_GT(cell["cpu_ns_per_request"], 0.0);
  }
}

TEST(echo_load, targets_take_turns_in_the_open_loop) {
  fixture_server one(behaviours::echo_frames);
  fixture_server two(behaviours::echo_frames);
  program run({"-c", "4", "-R", "200", "--arrivals", "uniform", "-d", "2s", "--slice", "1s", "--warmup",
               "100ms", one.address(), two.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cells = run.result()["cells"];
  ASSERT_EQ(cells.size(), 2U);
  for (const json& cell : cells) {
    EXPECT_EQ(cell["slices"].size(), 1U);
    EXPECT_NEAR(cell["requests_due"].get<double>(), 200, 1);
    EXPECT_EQ(cell["requests_total"], cell["requests_due"]);
  }
}

TEST(echo_load, as_many_rounds_as_asked_for_are_measured_however_long_they_take) {
  fixture_server one(behaviours::echo_frames);
  fixture_server two(behaviours::echo_frames);
  const std::vector<std::vector<std::string>> table{
      {"-d", "1ms", "--rounds", "3", one.address(), two.address()},
      {"-d", "1ms", "--rounds", "3", "-R", "200", "--slice", "100ms", one.address(), two.address()},
      {"-d", "1ms", "--rounds", "3", one.address()}};
  for (const auto& arguments : table) {
    program run(briefly(arguments));
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json result = run.result();
    EXPECT_EQ(result["config"]["rounds"], 3);
    for (const json& cell : result["cells"]) EXPECT_EQ(cell["slices"].size(), 3U);
  }
  program longer(briefly({"-d", "1s", "--rounds", "2", one.address(), two.address()}));
  ASSERT_EQ(longer.wait(), exit_ok) << longer.err();
  const auto slice = longer.cell()["slices"][0]["slice_ns"].get<std::int64_t>();
  EXPECT_GE(longer.cell()["slices"].size(), slice < 100'000'000 ? 3U : 2U) << "as many as fit";
}

TEST(echo_load, a_dead_target_does_not_stop_the_others) {
  fixture_server good(behaviours::echo_frames);
  fixture_server bad(behaviours::close_at_once);
  program run(briefly({"--rounds", "3", "good=" + good.address(), "bad=" + bad.address()}));
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(),
              AllOf(HasSubstr("bad"), HasSubstr(bad.address()), HasSubstr("closed every connection")));
  const json cells = run.result()["cells"];
  EXPECT_GT(cells[0]["requests"], 0);
  EXPECT_EQ(cells[1]["verdict"], "errors");
}

TEST(echo_load, a_slice_too_short_is_refused_with_the_minimum) {
  const auto slow = behaviours::tamper([](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(20ms);
    return reply;
  });
  fixture_server server(slow);
  program run(briefly({"--slice", "10ms", "--warmup", "1s", server.address()}));
  EXPECT_EQ(run.wait(), exit_usage);
  EXPECT_THAT(run.err(), AllOf(HasSubstr("--slice 10ms"), HasSubstr("use at least ")));
}

// The server's CPU accounting.

TEST(echo_load, what_the_server_used_is_that_of_the_measured_part) {
  const server_process server(behaviours::echo_frames);
  program run({"-c", "1", "-d", "100ms", "--warmup", "1s", "--server-pid", server.pid(), server.address()});
  ASSERT_EQ(run.wait(), exit_ok) << run.err();
  const json cell = run.cell();
  EXPECT_LT(cell["server"]["voluntary_switches"].get<double>(),
            4 * cell["requests_total"].get<double>() + 200)
      << "a thread sleeps once or twice for each request; the warm-up had ten times as many";
  EXPECT_EQ(
      cell["server"]["cpu_user_ns"].get<std::int64_t>() + cell["server"]["cpu_system_ns"].get<std::int64_t>(),
      cell["server"]["cpu_ns"]);
  EXPECT_DOUBLE_EQ(cell["server"]["per_request"]["voluntary_switches"].get<double>(),
                   cell["server"]["voluntary_switches"].get<double>() / cell["requests_total"].get<double>());
  const bool readable = ::access("/proc/self/smaps_rollup", R_OK) == 0;
  for (const char* name : {"pss_base_bytes", "pss_bytes"}) {
    EXPECT_EQ(cell["server"].contains(name), readable) << name;
  }
}

TEST(echo_load, fairness_is_judged_within_each_loop_of_a_server) {
  fixture_server server(behaviours::echo_frames);
  for (const std::size_t loops : {1U, 3U}) {
    program run(briefly({"-c", "9", "--server-loops", std::to_string(loops), server.address()}));
    ASSERT_EQ(run.wait(), exit_ok) << run.err();
    const json fairness = run.cell()["fairness"];
    EXPECT_EQ(fairness["loops"], loops);
    EXPECT_EQ(fairness["connections_per_loop"].size(), loops);
    const double of_all = run.cell()["jain_index"];
    EXPECT_GE(fairness["jain_index"], loops == 1 ? of_all - 1e-4 : 0.0);
  }
}

}  // namespace
}  // namespace echobench
