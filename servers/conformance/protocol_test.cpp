// The protocol, in every framing.
#include "servers/conformance/conformance.hpp"

#include <sys/socket.h>

#include <future>

namespace echobench::testing {
namespace {

class protocol : public conformance {};
FOR_SERVERS(protocol, "frame", "line", "raw");

TEST_P(protocol, one_message) {
  serve();
  client& peer = connect();
  const exchange e = message(64, 1);
  expect_exchange(peer, e);
  peer.finish();
  EXPECT_EQ(peer.receive_to_end(), "");
  const auto totals = expect_clean_stop();
  EXPECT_EQ(totals.at("accepted"), 1);
  EXPECT_EQ(totals.at("requests"), 1);
  EXPECT_EQ(totals.at("bytes_in"), e.request.size());
  EXPECT_EQ(totals.at("bytes_out"), e.reply.size());
}

TEST_P(protocol, many_in_one_write) {
  share();
  client& peer = connect();
  expect_exchange(peer, messages(100, 64));
}

TEST_P(protocol, byte_by_byte) {
  share();
  client& peer = connect();
  const exchange e = messages(3, 20);
  for (const char c : e.request) peer.send({&c, 1});
  expect_same(peer.receive(e.reply.size()), e.reply);
}

TEST_P(protocol, empty_payload) {
  share();
  client& peer = connect();
  expect_exchange(peer, messages(3, 0) + message(5, 9) + message(0, 10));
}

TEST_P(protocol, sizes_around_every_buffer) {
  share();
  client& peer = connect();
  for (const std::size_t size :
       {1, 495, 496, 497, 511, 512, 513, 1000, 4096, 65'000, 65'519, 65'520, 65'535}) {
    expect_duplex(peer, message(size, static_cast<std::uint32_t>(size)));
  }
}

TEST_P(protocol, largest_message) {
  share();
  client& peer = connect();
  expect_duplex(peer, message(GetParam().framing == "line" ? 65'535 : 1 << 20, 3));
  expect_duplex(peer, message(64, 4));
}

TEST_P(protocol, pipelining_64_deep_with_a_slow_reader) {
  share();
  client& peer = connect_slow_reader();
  const exchange e = messages(64, 20'000);
  const auto sender = std::async(std::launch::async, [&] { peer.send(e.request); });
  std::this_thread::sleep_for(50ms);  // the reader is slow: all buffers on the way fill meanwhile
  bytes got;
  while (got.size() < e.reply.size()) {
    const std::size_t n = std::min<std::size_t>(100'000, e.reply.size() - got.size());
    got += peer.receive(n);
    std::this_thread::sleep_for(1ms);
  }
  expect_same(got, e.reply);
}

// A recv(2) ends at urgent data: one that is short has not received all.
TEST_P(protocol, urgent_data_hides_nothing) {
  if (GetParam().framing != "raw") GTEST_SKIP() << "urgent data are no part of a message";
  share();
  client& peer = connect();
  const bytes before = text(100, 1);
  const bytes after = text(100, 2);
  peer.send(before);
  ASSERT_EQ(::send(peer.fd(), "!", 1, MSG_OOB), 1);
  peer.send(after);
  expect_same(peer.receive(200), before + after);
}

TEST_P(protocol, half_close_drains_then_closes) {
  share();
  client& peer = connect();
  const exchange e = messages(50, 2000);
  peer.send(e.request);
  peer.finish();
  expect_same(peer.receive_to_end(), e.reply);
}

TEST_P(protocol, closes_at_once_when_nothing_was_sent) {
  share();
  client& peer = connect();
  peer.finish();
  EXPECT_EQ(peer.receive_to_end(), "");
}

TEST_P(protocol, two_hundred_clients_at_once) {
  NEEDS_SEVERAL_CLIENTS();
  serve(clients(at_once(200)));
  const std::vector<client*> peers = connect_many(at_once(200));
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < peers.size(); ++i) peers[i]->send(message(100, i * 10 + round).request);
    for (std::uint32_t i = 0; i < peers.size(); ++i) {
      const exchange e = message(100, i * 10 + round);
      expect_same(peers[i]->receive(e.reply.size()), e.reply);
    }
  }
  EXPECT_EQ(expect_clean_stop().at("accepted"), peers.size());
}

}  // namespace
}  // namespace echobench::testing
