// Peers that break the connection.
#include "servers/conformance/conformance.hpp"

namespace echobench::testing {
namespace {

class resets : public conformance {};
FOR_VARIANTS(resets, "frame", "line", "raw");

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
    client& peer = connect();
    const exchange e = messages(64, 60'000);
    std::size_t at = 0;
    while (peer.writable_within(200ms)) {  // not any more: the server has stopped reading
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

}  // namespace
}  // namespace echobench::testing
