// Stopping: what was received is answered, and the server does not wait for what cannot come.
#include "common/proc_files.hpp"
#include "servers/conformance/conformance.hpp"

#include <atomic>
#include <csignal>
#include <future>

namespace echobench::testing {
namespace {

class stopping : public conformance {};
FOR_SERVERS(stopping, "frame", "line", "raw");
class stopping_process : public conformance {};
FOR_VARIANTS(stopping_process, "frame");

TEST_P(stopping, stop_answers_what_was_received) {
  serve();
  client& peer = connect();
  expect_exchange(peer, message(64, 1));
  server().signal_all(SIGSTOP);  // so that the requests and the signal arrive together
  const exchange e = messages(40, 1000, 2);
  peer.send(e.request);
  EXPECT_TRUE(eventually([&] { return peer.delivered(); }));
  server().signal(SIGTERM);
  server().signal_all(SIGCONT);
  expect_same(peer.receive_to_end(), e.reply);
  peer.close();
  expect_end(server().wait(), nlohmann::json::object());
}

// The system reports only what comes before them as readable.
TEST_P(stopping, stop_answers_what_was_received_behind_urgent_data) {
  if (GetParam().framing != "raw") GTEST_SKIP() << "urgent data are no part of a message";
  serve();
  client& peer = connect();
  expect_exchange(peer, message(64, 1));
  server().signal_all(SIGSTOP);
  const bytes before = text(100, 1);
  const bytes after = text(100, 2);
  peer.send(before);
  ASSERT_EQ(::send(peer.fd(), "!", 1, MSG_OOB), 1);
  peer.send(after);
  EXPECT_TRUE(eventually([&] { return peer.delivered(); }));
  server().signal(SIGTERM);
  server().signal_all(SIGCONT);
  expect_same(peer.receive_to_end(), before + after);
  peer.close();
  expect_end(server().wait(), nlohmann::json::object());
}

TEST_P(stopping, stop_while_idle) {
  serve(clients(at_once(20)));
  const std::vector<client*> peers = connect_many(at_once(20));
  for (client* peer : peers) expect_exchange(*peer, message(5, 1));
  server().signal(SIGTERM);
  for (client* peer : peers) {
    EXPECT_EQ(peer->receive_to_end(), "");
    peer->close();
  }
  expect_end(server().wait());
}

// While it begins to wait.
TEST_P(stopping_process, stop_as_soon_as_it_says_where_it_listens) {
  for (int i = 0; i < 10; ++i) {
    serve();
    expect_end(server().stop());
  }
}

TEST_P(stopping_process, stop_when_the_terminal_goes_unless_that_is_ignored) {
  ::signal(SIGHUP, SIG_DFL);  // the server inherits what nohup(1) may have done to this process
  serve();
  expect_exchange(connect(), frame("hello", 1));
  server().signal_all(SIGHUP);
  EXPECT_EQ(expect_end(server().wait(), nlohmann::json::object()).at("requests"), 1);

  arguments nohup{"/bin/sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""};
  for (const std::string& part : command()) nohup.push_back(part);
  server_process stays(nohup);
  stays.signal_all(SIGHUP);
  client peer(stays.address());
  expect_exchange(peer, frame("hello", 2));
  peer.close();
  expect_end(stays.stop(), nlohmann::json::object());
}

// So many requests that numbers, reused objects and rings have wrapped around.
TEST_P(stopping_process, stop_after_ten_thousand_requests) {
  const std::size_t count = at_once(20);
  serve(clients(count));
  const std::vector<client*> peers = connect_many(count);
  const exchange e = message(8, 1);
  for (std::size_t i = 0; i < 10'000; i += count) {
    for (client* peer : peers) peer->send(e.request);
    for (client* peer : peers) ASSERT_EQ(peer->receive(e.reply.size()), e.reply);
  }
  server().signal(SIGTERM);
  for (client* peer : peers) {
    EXPECT_EQ(peer->receive_to_end(), "");
    peer->close();
  }
  expect_end(server().wait(), nlohmann::json::object());
}

TEST_P(stopping, stop_while_busy) {
  serve();
  client& peer = connect_slow_reader();
  const exchange e = messages(200, 5000);
  std::atomic<bool> ended = false;
  auto sender = std::async(std::launch::async, [&] {
    try {
      while (!ended) peer.send(e.request);
      peer.finish();
    } catch (const std::system_error&) {
    }
  });
  ASSERT_TRUE(peer.readable_within(patience));
  bytes got;
  auto reader = std::async(std::launch::async, [&] {
    try {
      for (bytes more; more = peer.receive(1000), !more.empty();) got += more;
    } catch (const std::system_error&) {  // a reset, because the sender went on
    }
    ended = true;
  });
  std::this_thread::sleep_for(50ms);
  server().signal_all(SIGINT);
  expect_end(server().wait());
  reader.wait();
  sender.wait();
  ASSERT_GT(got.size(), 0U);
  for (std::size_t at = 0; at < got.size(); at += e.reply.size()) {
    const bytes part = got.substr(at, e.reply.size());
    ASSERT_TRUE(part == e.reply.substr(0, part.size())) << "near byte " << at;
  }
}

TEST_P(stopping, stop_in_the_middle_of_a_hundred_messages) {
  const std::size_t count = at_once(100);
  serve(clients(count));
  const std::vector<client*> peers = connect_many(count);
  const exchange e = message(1000, 1);
  constexpr std::size_t half = 500;
  for (client* peer : peers) expect_exchange(*peer, e);
  for (client* peer : peers) peer->send(e.request.substr(0, half));
  EXPECT_TRUE(eventually([&] { return std::ranges::all_of(peers, &client::delivered); }));
  server().signal(SIGTERM);
  for (client* peer : peers) {
    const bytes got = peer->receive_to_end();
    expect_prefix(got, e.reply);
    EXPECT_TRUE(GetParam().framing != "raw" || got.size() == half) << got.size();
    peer->close();
  }
  expect_end(server().wait(), nlohmann::json::object());
}

TEST_P(stopping, reset_while_stopping) {
  serve();
  client& peer = connect();
  expect_exchange(peer, message(64, 1));
  server().signal_all(SIGSTOP);
  peer.send(message(30'000, 2).request);
  server().signal(SIGTERM);
  peer.reset();
  server().signal_all(SIGCONT);
  expect_end(server().wait());
}

// Two servers at once, because each takes a second: for the first, lingering and draining end at the same
// time; the other drops a client that goes on sending.
TEST_P(stopping_process, nobody_connects_while_a_reply_is_awaited) {
  serve({"--drain-timeout", "60s"});
  client& peer = connect_slow_reader();
  send_until_unread(peer, messages(16, 60'000));
  server().signal(SIGTERM);
  const auto refuses = [&] {
    try {
      client late(server().address());
    } catch (const std::system_error& error) {
      return error.code() == std::errc::connection_refused;
    }
    return false;
  };
  EXPECT_TRUE(eventually(refuses));
  EXPECT_NE(read_stat(server().pid()).value_or(process_stat{.state = 'Z'}).state, 'Z') << "it has ended";
  peer.reset();
  expect_end(server().wait());
}

TEST_P(stopping_process, stop_with_clients_that_stay) {
  server_process other(command());
  client sends_on(other.address());
  expect_exchange(sends_on, frame("hello", 1));
  auto sender = std::async(std::launch::async, [&] {
    const frame_header unknown{.length = 1 << 20, .op = static_cast<frame_op>(9)};
    const exchange e = refused(text(1 << 20, 1), unknown, frame_status::unknown_op);  // a short reply
    try {
      for (;;) sends_on.send(e.request);
    } catch (const std::system_error&) {
    }
  });
  serve({"--drain-timeout", "1s"});
  client& stays = connect();
  expect_exchange(stays, frame("hello", 1));
  other.signal(SIGTERM);
  server().signal(SIGTERM);
  expect_end(server().wait(), nlohmann::json::object());  // it was answered and flushed
  expect_end(other.wait());
  sender.wait();
}

TEST_P(stopping_process, stop_waits_for_a_sleep_that_ends_in_time) {
  serve();
  client& peer = connect();
  const exchange e = frame("dream", 1, frame_op::sleep, 200ms);
  expect_exchange(peer, frame("hello", 0));
  peer.send(e.request);
  std::this_thread::sleep_for(50ms);  // so that it has begun
  server().signal(SIGTERM);
  expect_same(peer.receive_to_end(), e.reply);
  peer.close();
  expect_end(server().wait(), nlohmann::json::object());
}

TEST_P(stopping_process, stop_does_not_wait_beyond_the_drain_timeout) {
  std::list<server_process> servers;
  std::list<client> peers;
  for (const auto& [op, flags] : {std::pair(frame_op::sleep, 0), std::pair(frame_op::work, 0),
                                  std::pair(frame_op::work, int{flag_offload})}) {
    servers.emplace_back(command({"--drain-timeout", "200ms", "--max-sleep", "1h", "--max-work", "1h"}));
    client& peer = peers.emplace_back(servers.back().address());
    expect_exchange(peer, frame("hello", 0));
    peer.send(frame("long", 1, op, 1h, static_cast<std::uint8_t>(flags)).request);
  }
  std::this_thread::sleep_for(50ms);
  for (const server_process& server : servers) server.signal(SIGTERM);
  for (client& peer : peers) EXPECT_EQ(peer.receive_to_end(), "") << "a request that was cut has no reply";
  for (server_process& server : servers) expect_end(server.wait(), {{"drain_timeout", 1}});
}

TEST_P(stopping_process, stop_does_not_wait_for_a_peer_that_does_not_read) {
  serve({"--drain-timeout", "200ms"});
  client& peer = connect();
  auto sender = std::async(std::launch::async, [&] {
    const exchange e = frame(text(1 << 20, 1), 1);
    try {
      for (;;) peer.send(e.request);
    } catch (const std::system_error&) {
    }
  });
  std::this_thread::sleep_for(100ms);
  auto errors = expect_end(server().stop()).at("errors");
  errors.erase("drain_timeout");  // not counted if the system's buffers took the last replies
  EXPECT_EQ(errors, nlohmann::json::object());
  sender.wait();
}

}  // namespace
}  // namespace echobench::testing
