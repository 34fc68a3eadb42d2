// A client must not delay or harm others.
#include "servers/conformance/conformance.hpp"

#include <future>

namespace echobench::testing {
namespace {

class neighbours : public conformance {};
FOR_SERVERS(neighbours, "frame", "line", "raw");
class neighbours_of_work : public conformance {};
FOR_VARIANTS(neighbours_of_work, "frame");

TEST_P(neighbours, a_peer_that_does_not_read_delays_nobody_else) {
  NEEDS_SEVERAL_CLIENTS();
  serve(clients(3));
  client& greedy = connect();
  const std::vector<client*> others = connect_many(2);
  const exchange e = messages(16, 60'000);
  const std::size_t sent = send_until_unread(greedy, e);
  for (std::uint32_t i = 0; i < 20; ++i) {
    for (client* other : others) expect_exchange(*other, message(1000, i));
  }
  const auto sender = std::async(std::launch::async, [&] {
    if (const std::size_t at = sent % e.request.size(); at > 0) greedy.send(e.request.substr(at));
  });
  for (std::size_t at = 0; at < sent; at += e.request.size()) {
    expect_same(greedy.receive(e.reply.size()), e.reply);
  }
  expect_clean_stop();
}

TEST_P(neighbours_of_work, sleep_delays_nobody_else) {
  NEEDS_SEVERAL_CLIENTS();
  serve(clients(2));
  client& sleeper = connect();
  client& other = connect();
  const exchange sleep = frame("zzz", 1, frame_op::sleep, 300ms);
  EXPECT_TRUE(in_one_of_several([&] {
    sleeper.send(sleep.request);
    for (std::uint32_t i = 0; i < 5; ++i) expect_exchange(other, frame("awake", i));
    const bool overtaken = !sleeper.readable_within(0ms);
    expect_same(sleeper.receive(sleep.reply.size()), sleep.reply);
    return overtaken;
  }));
  expect_clean_stop();
}

TEST_P(neighbours_of_work, have_their_turn_between_pipelined_requests) {
  NEEDS_SEVERAL_CLIENTS();
  serve(clients(2));
  client& worker = connect();
  client& other = connect();
  exchange work;
  for (std::uint32_t i = 0; i < 50; ++i) work += frame("busy", i, frame_op::work, 5ms);
  EXPECT_TRUE(in_one_of_several([&] {
    worker.send(work.request);
    expect_exchange(other, frame("my turn", 1));
    bytes replies = worker.receive_some(work.reply.size());
    const bool overtaken = replies.size() < work.reply.size();
    replies += worker.receive(work.reply.size() - replies.size());
    expect_same(replies, work.reply);
    return overtaken;
  }));
  expect_clean_stop();
}

TEST_P(neighbours_of_work, offloaded_work_delays_nobody_else) {
  NEEDS_SEVERAL_CLIENTS();
  const bool workers_work = GetParam().name == "thread-pool";
  serve(workers_work ? arguments{"--threads", "2"} : clients(2));
  client& worker = connect();
  client& other = connect();
  // After a sleep, so that the work begins where the sleep ends: on a loop, in the models that have one.
  const std::uint8_t flags = workers_work ? 0 : flag_offload;
  const exchange work = frame("", 0, frame_op::sleep, 1us) + frame("busy", 1, frame_op::work, 300ms, flags);
  EXPECT_TRUE(in_one_of_several([&] {
    worker.send(work.request);
    for (std::uint32_t i = 0; i < 5; ++i) expect_exchange(other, frame("free", i));
    EXPECT_EQ(worker.receive(frame_header_size), work.reply.substr(0, frame_header_size));
    const bool overtaken = !worker.readable_within(0ms);
    expect_same(worker.receive(work.reply.size() - frame_header_size), work.reply.substr(frame_header_size));
    return overtaken;
  }));
  expect_clean_stop();
}

}  // namespace
}  // namespace echobench::testing
