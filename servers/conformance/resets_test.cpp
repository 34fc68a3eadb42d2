// Peers that break the connection.
#include "servers/conformance/conformance.hpp"

#include <functional>

namespace echobench::testing {
namespace {

class resets : public conformance {};
FOR_SERVERS(resets, "frame", "line", "raw");

TEST_P(resets, reset_in_the_middle_of_a_message) {
  serve();
  client& peer = connect();
  expect_exchange(peer, message(10, 1));  // the server has it
  const std::size_t descriptors = server().processes().descriptors() - 1;
  peer.send(message(1000, 2).request.substr(0, 700));
  peer.reset();
  EXPECT_TRUE(eventually([&] { return server().processes().descriptors() == descriptors; }));
  client& next = connect();
  expect_exchange(next, message(64, 2));
  const auto totals = expect_clean_stop({{"reset", 1}});
  EXPECT_EQ(totals.at("accepted"), 2);
}

TEST_P(resets, reset_by_a_peer_that_does_not_read) {
  serve();
  {
    client& peer = connect_slow_reader();
    const exchange e = messages(16, 60'000);
    std::size_t at = 0;
    while (peer.writable_within(100ms)) {  // until the server has stopped reading
      const std::string_view rest = std::string_view(e.request).substr(at);
      const ssize_t n = ::send(peer.fd(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      ASSERT_GT(n, 0);
      at = (at + static_cast<std::size_t>(n)) % e.request.size();
    }
    peer.reset();
  }
  client& next = connect();
  expect_exchange(next, message(64, 2));
  expect_end(stop());
}

TEST_P(resets, reset_in_each_phase) {
  serve();
  const exchange e = message(1000, 1);
  const std::string_view request = e.request;
  const exchange large = message(60'000, 2);
  const std::vector<std::function<void(client&)>> phases{
      [](client&) {},                                            // connected
      [&](client& peer) { peer.send(request.substr(0, 1)); },    // begun
      [&](client& peer) { peer.send(request.substr(0, 500)); },  // in the middle
      [&](client& peer) { peer.send(request); },                 // being answered
      [&](client& peer) { peer.send(large.request + large.request); },
      [&](client& peer) { expect_exchange(peer, e); },  // answered
      [&](client& peer) {                               // in the middle of the next
        expect_exchange(peer, e);
        peer.send(request.substr(0, 500));
      },
      [&](client& peer) {  // half-closed, being answered
        peer.send(request);
        peer.finish();
      },
      [&](client& peer) {  // the server has closed
        peer.finish();
        EXPECT_EQ(peer.receive_to_end(), "");
      }};
  for (int round = 0; round < 3; ++round) {
    for (const auto& come_to : phases) {
      client& peer = connect();
      come_to(peer);
      if (round == 1) std::this_thread::sleep_for(2ms);  // so that the server is in that phase, too
      peer.reset();
    }
  }
  expect_exchange(connect(), e);
  auto errors = expect_end(stop()).value("errors", nlohmann::json::object());
  errors.erase("reset");
  errors.erase("short_input");  // if the end was seen before the reset
  EXPECT_EQ(errors, nlohmann::json::object());
}

}  // namespace
}  // namespace echobench::testing
