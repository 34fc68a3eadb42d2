// Whatever way the bytes arrive and leave, the same bytes come out.
#include "servers/session/session_harness.hpp"

#include <random>

namespace echobench::testing {
namespace {

// Everything that a frame can ask for, and what it is answered.
struct dialogue {
  bytes in;
  bytes out;
};

dialogue everything() {
  const bytes large(150'000, 'x');
  dialogue d;
  const auto add = [&d](const bytes& in, const bytes& out) {
    d.in += in;
    d.out += out;
  };
  add(request("one", 1), reply("one", 1));
  add(request("", 2), reply("", 2));
  add(request("MiXed 1", 3, frame_op::upper), reply("MIXED 1", 3, frame_op::upper));
  add(request("skipped", 4, static_cast<frame_op>(77)),
      reply("", 4, static_cast<frame_op>(77), 0, frame_status::unknown_op));
  add(request("zz", 5, frame_op::sleep, 7), reply("zz", 5, frame_op::sleep, 7));
  add(request(large, 6), reply(large, 6));
  add(request(large, 7, static_cast<frame_op>(78)),
      reply("", 7, static_cast<frame_op>(78), 0, frame_status::unknown_op));
  add(request(large, 8, frame_op::work, 9), reply(large, 8, frame_op::work, 9));
  add(request("no", 9, frame_op::work, 4'000'000'000),
      reply("", 9, frame_op::work, 4'000'000'000, frame_status::param_too_large));
  add(request("last", 10), reply("last", 10));
  return d;
}

TEST(echo_session, answers_alike_however_the_bytes_are_cut) {
  const dialogue d = everything();
  for (const std::size_t at_most : {1UL, 2UL, 15UL, 16UL, 17UL, 100UL, 512UL, 4096UL, 65'536UL, 1UL << 20}) {
    harness h;
    h.feed(d.in, at_most);
    EXPECT_TRUE(h.sent == d.out) << "pieces of " << at_most;
    EXPECT_EQ(h.carried_out.size(), 2U);
    EXPECT_EQ(h.totals().requests, 10U);
    EXPECT_EQ(h.totals().bytes_in, d.in.size());
    EXPECT_EQ(h.totals().bytes_out, d.out.size());
    EXPECT_EQ(h.errors(server_error::unknown_op), 2U);
    EXPECT_EQ(h.errors(server_error::param_too_large), 1U);
    h.session.peer_finished();
    EXPECT_TRUE(h.session.finished());
    EXPECT_EQ(h.errors(server_error::short_input), 0U);
  }
}

// Receives and sends in any order and size, full duplex, with pieces that the transport owns among them.
TEST(echo_session, answers_alike_in_any_interleaving) {
  const dialogue d = everything();
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto up_to = [&random](std::size_t most) {
      return std::uniform_int_distribution<std::size_t>(1, most)(random);
    };
    harness h;
    std::string_view input = d.in;
    int stuck = 0;
    while (h.sent.size() < d.out.size() && stuck < 1000) {
      ++stuck;
      const std::string_view piece = input.substr(0, up_to(100'000));
      switch (random() % 4) {
        case 0: {
          const auto space = h.session.recv_space();
          if (space.empty() || piece.empty()) break;
          const std::size_t n = std::min(space.size(), piece.size());
          const auto before = h.session.pending();
          if (!before.empty() && random() % 2 == 0) {  // a send completes while the receive is under way
            h.sent.append(reinterpret_cast<const char*>(before.data()), 1);
            h.session.sent(1);
          }
          std::memcpy(space.data(), piece.data(), n);
          h.session.received(n);
          input.remove_prefix(n);
          stuck = 0;
          break;
        }
        case 1: {
          const std::size_t taken = h.session.offer(std::as_bytes(std::span(piece)));
          input.remove_prefix(taken);
          if (taken > 0) stuck = 0;
          break;
        }
        case 2: {
          const auto out = h.session.pending();
          if (out.empty()) break;
          const std::size_t n = std::min(out.size(), up_to(70'000));
          h.sent.append(reinterpret_cast<const char*>(out.data()), n);
          h.session.sent(n);
          stuck = 0;
          break;
        }
        default:
          if (h.session.take_deferred()) h.session.complete_deferred();
          h.session.park();
      }
    }
    EXPECT_TRUE(h.sent == d.out) << "seed " << seed << ", " << h.sent.size() << " of " << d.out.size()
                                 << " bytes";
  }
}

}  // namespace
}  // namespace echobench::testing
