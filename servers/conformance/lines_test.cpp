// Lines.
#include "servers/conformance/conformance.hpp"

namespace echobench::testing {
namespace {

std::vector<subject> of_lines(std::vector<subject> all) {
  std::erase_if(all, [](const subject& s) { return s.framing != "line"; });
  return all;
}

class lines : public conformance {};
FOR_VARIANTS(lines, "line");
INSTANTIATE_TEST_SUITE_P(other_runtimes, lines, ::testing::ValuesIn(of_lines(other_runtimes())), test_name);

TEST_P(lines, an_unterminated_last_line_is_answered_as_it_is) {
  serve({"--service", "upper"});
  client& peer = connect();
  peer.send("first\nlast");
  peer.finish();
  EXPECT_EQ(peer.receive_to_end(), "FIRST\nLAST");
  EXPECT_EQ(expect_clean_stop().at("requests"), 2);
}

TEST_P(lines, is_answered_line_by_line) {
  serve();
  client& peer = connect();
  peer.send("whole\nhalf");
  EXPECT_EQ(peer.receive(6), "whole\n");
  EXPECT_FALSE(peer.readable_within(50ms)) << "half a line was answered";
  peer.send(" and half\n");
  EXPECT_EQ(peer.receive(14), "half and half\n");
  expect_clean_stop();
}

TEST_P(lines, too_long_is_counted_and_closed) {
  serve();
  client& peer = connect();
  peer.send("fine\n");
  peer.send(text(65'536, 1));
  EXPECT_EQ(peer.receive_to_end(), "fine\n");
  expect_clean_stop({{"line_too_long", 1}});
}

}  // namespace
}  // namespace echobench::testing
