// Pieces of every size, both ways, on several connections at once; the sizes are the same in every run.
#include "servers/conformance/conformance.hpp"

#include <algorithm>
#include <random>

namespace echobench::testing {
namespace {

class fuzz : public conformance {};
FOR_SERVERS(fuzz, "frame", "line", "raw");

using generator = std::mt19937;

// As often between 1 and 2 as between 2^15 and 2^16.
std::size_t any_size(generator& random) {
  const std::size_t bound = std::size_t{2} << (random() % 16);
  return bound / 2 + random() % (bound / 2);
}

// A client that sends and receives in pieces of random size, without waiting.
class conversation {
public:
  conversation(client& peer, exchange what, generator::result_type seed)
      : peer_(peer), what_(std::move(what)), random_(seed) {}

  void step() {
    sent_ += peer_.send_some(std::string_view(what_.request).substr(sent_, any_size(random_)));
    got_ += peer_.receive_some(std::min(any_size(random_), what_.reply.size() - got_.size()));
  }
  bool complete() const { return got_.size() == what_.reply.size(); }
  void expect_replies() const { expect_same(got_, what_.reply); }

private:
  client& peer_;
  exchange what_;
  generator random_;
  std::size_t sent_ = 0;
  bytes got_;
};

exchange random_messages(const std::string& framing, generator::result_type seed) {
  generator random(seed);
  exchange all;
  for (std::uint32_t i = 0; i < 30; ++i) {
    const std::size_t size = random() % 8 == 0 ? 0 : any_size(random) - 1;
    const bool upper = framing == "frame" && random() % 2 == 0;
    all += upper ? frame(text(size, i), i, frame_op::upper) : message(framing, size, i);
  }
  return all;
}

TEST_P(fuzz, pieces_of_random_size_both_ways) {
  const std::size_t count = at_once(8);
  serve(clients(count));
  std::list<conversation> all;
  for (std::uint32_t i = 0; i < count; ++i) {
    all.emplace_back(connect(), random_messages(GetParam().framing, i), i);
  }
  eventually([&] {  // some steps, then time for the server
    for (int i = 0; i < 10; ++i) {
      for (conversation& client : all) client.step();
    }
    return std::ranges::all_of(all, &conversation::complete);
  });
  for (const conversation& client : all) client.expect_replies();
  EXPECT_EQ(expect_clean_stop().at("accepted"), count);
}

}  // namespace
}  // namespace echobench::testing
