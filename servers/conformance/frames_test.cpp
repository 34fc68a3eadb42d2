// Frames: the operations, and what is refused.
#include "servers/conformance/conformance.hpp"

namespace echobench::testing {
namespace {

class frames : public conformance {};
FOR_VARIANTS(frames, "frame");

TEST_P(frames, upper) {
  serve();
  client& peer = connect();
  expect_exchange(peer, frame("Hello, World! \x80\xff", 1, frame_op::upper));
  expect_duplex(peer, frame(text(300'000, 1), 2, frame_op::upper));
  expect_clean_stop();
}

TEST_P(frames, too_large_is_answered_and_closed) {
  serve({"--max-frame", "1000"});
  client& peer = connect();
  const exchange before = frame(text(1000, 1), 1);
  const exchange refusal = refused("", {.length = 1001, .sequence = 2}, frame_status::too_large);
  peer.send(before.request + refusal.request + text(1001, 3));
  expect_same(peer.receive_to_end(), before.reply + refusal.reply);
  expect_clean_stop({{"too_large", 1}});
}

TEST_P(frames, bad_version_is_answered_and_closed) {
  serve();
  client& peer = connect();
  const exchange refusal = refused("", {.length = 3, .version = 2, .sequence = 5}, frame_status::bad_version);
  peer.send(refusal.request + "abc" + frame("never answered", 6).request);
  expect_same(peer.receive_to_end(), refusal.reply);
  expect_clean_stop({{"bad_version", 1}});
}

TEST_P(frames, reset_after_a_refusal) {
  serve();
  const exchange refusal = refused("", {.version = 2, .sequence = 1}, frame_status::bad_version);
  client& peer = connect();
  expect_exchange(peer, refusal);
  peer.send(text(1000, 1));  // while the server waits for the end
  peer.reset();
  expect_exchange(connect(), frame("next", 2));
  auto errors = expect_end(stop()).at("errors");
  errors.erase("reset");
  EXPECT_EQ(errors, (nlohmann::json{{"bad_version", 1}}));
}

TEST_P(frames, unknown_operation_is_answered_and_its_payload_skipped) {
  serve();
  client& peer = connect();
  const bytes skipped = text(200'000, 1);
  const frame_header unknown{
      .length = static_cast<std::uint32_t>(skipped.size()), .op = static_cast<frame_op>(9), .sequence = 1};
  expect_exchange(
      peer, frame("before", 0) + refused(skipped, unknown, frame_status::unknown_op) + frame("after", 2));
  expect_exchange(peer,
                  refused("", {.op = static_cast<frame_op>(255), .sequence = 3}, frame_status::unknown_op));
  expect_clean_stop({{"unknown_op", 2}});
}

TEST_P(frames, param_over_the_limit_is_refused) {
  serve({"--max-work", "10us", "--max-sleep", "20us"});
  client& peer = connect();
  const frame_header work{.length = 3, .op = frame_op::work, .param = 11, .sequence = 1};
  const frame_header sleep{.length = 3, .op = frame_op::sleep, .param = 21, .sequence = 2};
  expect_exchange(peer, refused("abc", work, frame_status::param_too_large) +
                            refused("abc", sleep, frame_status::param_too_large) +
                            frame("abc", 3, frame_op::work, 10us) + frame("abc", 4, frame_op::sleep, 20us));
  expect_clean_stop({{"param_too_large", 2}});
}

TEST_P(frames, a_short_frame_is_counted) {
  serve();
  client& peer = connect();
  const exchange whole = frame("whole", 1);
  peer.send(whole.request + frame(text(100, 2), 2).request.substr(0, 10));
  peer.finish();
  expect_same(peer.receive_to_end(), whole.reply);
  expect_clean_stop({{"short_input", 1}});
}

}  // namespace
}  // namespace echobench::testing
