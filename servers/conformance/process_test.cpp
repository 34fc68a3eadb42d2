// What a server prints about itself, and what its options do.
#include "common/process.hpp"

#include "common/build_info.hpp"
#include "servers/conformance/conformance.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <utility>

namespace echobench::testing {
namespace {

class contract : public conformance {};
FOR_SERVERS(contract, "frame");
class process : public conformance {};
FOR_VARIANTS(process, "frame");

TEST_P(contract, prints_where_it_listens) {
  const auto& line = serve().listening();
  EXPECT_EQ(line.at("event"), "listening");
  EXPECT_EQ(line.at("variant"), GetParam().name);
  EXPECT_EQ(line.at("pid"), server().pid());
  ASSERT_EQ(line.at("addresses").size(), 1U);
  EXPECT_EQ(server().address().to_string().rfind("127.0.0.1:", 0), 0U);
  expect_clean_stop();
}

TEST_P(contract, an_unknown_option_is_refused) {
  server_process second(command({"--frobnicate"}));
  EXPECT_TRUE(second.listening().is_null());
  const exit_report report = second.wait();
  EXPECT_EQ(report.status, exit_usage);
  EXPECT_NE(report.errors.find("-frobnicate"), std::string::npos) << report.errors;
}

TEST_P(contract, the_same_port_twice_is_refused) {
  serve();
  const std::string port = std::to_string(server().address().port());
  server_process second(command({"--port", port}));
  const exit_report report = second.wait();
  EXPECT_EQ(report.status, exit_failed);
  EXPECT_NE(report.errors.find("127.0.0.1:" + port), std::string::npos) << report.errors;
  EXPECT_NE(report.errors.find("in use"), std::string::npos) << report.errors;
  client& peer = connect();
  expect_exchange(peer, message(5, 1));
  expect_clean_stop();
}

TEST_P(process, counts_the_turns_of_its_loops) {
  serve();
  client& peer = connect();
  for (std::uint32_t i = 0; i < 20; ++i) expect_exchange(peer, message(5, i));
  const auto totals = expect_clean_stop();
  if (!totals.contains("requests_per_loop")) GTEST_SKIP() << "has no loops";
  if (GetParam().name.starts_with("asio") && GetParam().name.ends_with("-uring"))
    GTEST_SKIP() << "Asio waits by liburing";
  EXPECT_GE(totals.value("turns", 0), 3)
      << "it was woken for the connection, for its requests, and for the end";
}

TEST_P(process, prints_the_addresses_that_it_listens_on) {
  serve({"--bind", "127.0.0.1", "--bind", "::1"});
  const auto& line = server().listening();
  EXPECT_EQ(line.at("event"), "listening");
  EXPECT_EQ(line.at("variant"), GetParam().name);
  EXPECT_EQ(line.at("pid"), server().pid());
  ASSERT_EQ(line.at("addresses").size(), 2U);
  EXPECT_EQ(server().address(0).port(), server().address(1).port()) << "port 0 is resolved once";
  EXPECT_EQ(server().address(1).to_string().rfind("[::1]:", 0), 0U);
  for (const std::size_t address : {0, 1}) {
    client& peer = connect(address);
    expect_exchange(peer, frame("hello", 1));
    peer.close();
  }
  expect_clean_stop();
}

// The number of sockets that listen on this port of 127.0.0.1 (proc(5): ports in hexadecimal, state 0A).
std::size_t listening_sockets(std::uint16_t port) {
  std::ifstream table("/proc/net/tcp");
  std::array<char, 16> wanted{};
  std::snprintf(wanted.data(), wanted.size(), "0100007F:%04X", port);
  std::size_t listening = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string number;
    std::string local;
    std::string remote;
    std::string state;
    fields >> number >> local >> remote >> state;
    if (local == wanted.data() && state == "0A") ++listening;
  }
  return listening;
}

TEST_P(process, prints_the_number_of_queues_among_which_connections_are_divided) {
  EXPECT_EQ(serve().listening().at("loops"), 1);
  expect_clean_stop();
  serve({"--threads", "3", "--bind", "127.0.0.1", "--bind", "::1"});
  if (server().listening().is_null()) return;  // this variant has one thread
  EXPECT_EQ(server().listening().at("loops"), listening_sockets(server().address().port()));
  expect_clean_stop();
}

TEST_P(process, prints_what_it_was_built_from) {
  const nlohmann::json expected{{"version", build_info::version},
                                {"commit", build_info::commit},
                                {"dirty", build_info::dirty},
                                {"compiler", build_info::compiler},
                                {"flags", build_info::flags}};
  EXPECT_EQ(serve().listening().at("build"), expected);
  expect_clean_stop();
}

TEST_P(process, holds_no_more_than_max_connections) {
  NEEDS_SEVERAL_CLIENTS();
  serve(clients(5, {"--max-connections", "3"}));
  std::vector<client*> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(&connect());
    peers.back()->send(frame("hello", 1).request);
  }
  EXPECT_TRUE(peers[2]->readable_within(patience));
  EXPECT_FALSE(peers[3]->readable_within(150ms));
  for (client* peer : peers) {
    EXPECT_EQ(peer->receive(21), frame("hello", 1).reply);
    peer->close();
  }
  expect_clean_stop();
}

TEST_P(process, addresses_share_max_connections) {
  NEEDS_SEVERAL_CLIENTS();
  serve(clients(3, {"--max-connections", "3", "--bind", "127.0.0.1", "--bind", "::1"}));
  for (const std::size_t address : {0, 1}) expect_exchange(connect(address), frame("hello", 1));
  disconnect();
  std::size_t descriptors = 0;
  EXPECT_TRUE(eventually([&] {
    return std::exchange(descriptors, server().processes().descriptors()) == descriptors &&
           !server().processes().busy();
  }));
  std::vector<client*> waiting;
  for (std::size_t i = 0; i < 8; ++i) {
    waiting.push_back(&connect(i % 2));
    waiting.back()->send(frame("hello", 1).request);
  }
  const auto served = [](const client* peer) { return peer->readable_within(0ms); };
  EXPECT_TRUE(eventually([&] { return std::ranges::count_if(waiting, served) == 3; }));
  std::this_thread::sleep_for(150ms);  // longer than accepting pauses
  EXPECT_LE(server().processes().descriptors(), descriptors + 3) << "more are accepted than served";
  while (!waiting.empty()) {
    EXPECT_LE(std::ranges::count_if(waiting, served), 3);
    EXPECT_TRUE(eventually([&] { return std::ranges::any_of(waiting, served); }));
    const auto first = std::ranges::find_if(waiting, served);
    EXPECT_EQ((*first)->receive(21), frame("hello", 1).reply);
    (*first)->close();
    waiting.erase(first);
  }
  expect_clean_stop();
}

TEST_P(process, closes_idle_connections_when_asked_to) {
  serve({"--idle-timeout", "300ms"});
  int closed = 0;
  const auto served_while_active_or_asleep = [&] {
    client& peer = connect();
    const auto answered = [&peer](const exchange& e) {
      peer.send(e.request);
      return peer.receive(e.reply.size()) == e.reply;
    };
    bool served = true;
    try {
      for (std::uint32_t i = 0; i < 10 && served; ++i) {
        served = answered(frame("active", i));
        std::this_thread::sleep_for(50ms);  // on a busy machine it may be more
      }
      const exchange asleep = frame("not idle", 10, frame_op::sleep, 2 * quiet_time);
      served = served && rested_while(server(), [&] { served = answered(asleep); }) && served;
      EXPECT_EQ(peer.receive_to_end(), "");
    } catch (const std::system_error&) {  // it was closed before the request came
      served = false;
    }
    peer.close();
    ++closed;
    return served;
  };
  EXPECT_TRUE(in_one_of_several(served_while_active_or_asleep));
  expect_clean_stop({{"idle_timeout", closed}});
}

TEST_P(process, threads_serve_together) {
  serve({"--threads", "3"});
  if (server().listening().is_null()) {
    const exit_report report = server().wait();
    EXPECT_EQ(report.status, 2);
    EXPECT_NE(report.errors.find("--threads"), std::string::npos) << report.errors;
    return;
  }
  const std::vector<client*> peers = connect_many(GetParam().holds == "threads" ? 3 : 30);
  for (client* peer : peers) expect_exchange(*peer, frame(text(1000, 1), 1));
  EXPECT_EQ(expect_clean_stop().at("accepted"), peers.size());
}

}  // namespace
}  // namespace echobench::testing
