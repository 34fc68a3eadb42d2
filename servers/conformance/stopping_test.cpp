// Stopping: what was received is answered, and nothing is waited for in vain.
#include "servers/conformance/conformance.hpp"

#include <csignal>
#include <future>

namespace echobench::testing {
namespace {

class stopping : public conformance {};
FOR_VARIANTS(stopping, "frame", "line", "raw");
class stopping_process : public conformance {};
FOR_VARIANTS(stopping_process, "frame");

TEST_P(stopping, stop_answers_what_was_received) {
  serve();
  client& peer = connect();
  expect_exchange(peer, message(64, 1));
  server().signal_all(SIGSTOP);  // so that the requests and the stop are there together
  const exchange e = messages(40, 1000, 2);
  peer.send(e.request);
  server().signal(SIGTERM);
  server().signal_all(SIGCONT);
  expect_same(peer.receive_to_end(), e.reply);
  peer.close();
  expect_end(server().wait(), nlohmann::json::object());
}

TEST_P(stopping, stop_while_busy) {
  serve();
  client& peer = connect();
  const exchange e = messages(200, 5000);
  auto sender = std::async(std::launch::async, [&] {
    try {
      for (;;) peer.send(e.request);
    } catch (const std::system_error&) {
    }
  });
  ASSERT_TRUE(peer.readable_within(patience));
  bytes got;
  auto reader = std::async(std::launch::async, [&] {
    try {
      for (;;) {
        const bytes more = peer.receive(1000);
        got += more;
        if (more.size() < 1000) return;
      }
    } catch (const std::system_error&) {  // a reset, because the sender went on
    }
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

TEST_P(stopping_process, stop_while_idle) {
  serve(clients(at_once(20)));
  const std::vector<client*> peers = connect_many(at_once(20));
  for (client* peer : peers) expect_exchange(*peer, frame("hello", 1));
  server().signal(SIGTERM);
  for (client* peer : peers) {
    EXPECT_EQ(peer->receive_to_end(), "");
    peer->close();
  }
  expect_end(server().wait());
}

// Lingering and draining end in the same moment.
TEST_P(stopping_process, stop_with_a_client_that_stays) {
  serve({"--drain-timeout", "1s"});
  client& peer = connect();
  expect_exchange(peer, frame("hello", 1));
  expect_end(server().stop(), nlohmann::json::object());  // it was answered and flushed
}

TEST_P(stopping_process, stop_waits_for_a_sleep_that_ends_in_time) {
  serve();
  client& peer = connect();
  const exchange e = frame("dream", 1, frame_op::sleep, 300ms);
  expect_exchange(peer, frame("hello", 0));
  peer.send(e.request);
  std::this_thread::sleep_for(50ms);  // so that it has begun
  server().signal(SIGTERM);
  expect_same(peer.receive_to_end(), e.reply);
  peer.close();
  expect_end(server().wait(), nlohmann::json::object());
}

TEST_P(stopping_process, stop_does_not_wait_beyond_the_drain_timeout) {
  for (const auto& [op, flags] : {std::pair(frame_op::sleep, 0), std::pair(frame_op::work, 0),
                                  std::pair(frame_op::work, int{flag_offload})}) {
    serve({"--drain-timeout", "200ms", "--max-sleep", "1h", "--max-work", "1h"});
    client& peer = connect();
    expect_exchange(peer, frame("hello", 0));
    peer.send(frame("long", 1, op, 1h, static_cast<std::uint8_t>(flags)).request);
    std::this_thread::sleep_for(50ms);
    expect_end(server().stop());
  }
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
  errors.erase("drain_timeout");  // there is none when the system's buffers took the last replies
  EXPECT_EQ(errors, nlohmann::json::object());
  sender.wait();
}

}  // namespace
}  // namespace echobench::testing
