// Requests that take time: work and sleep.
#include "servers/conformance/conformance.hpp"

namespace echobench::testing {
namespace {

class work_and_sleep : public conformance {};
FOR_VARIANTS(work_and_sleep, "frame");

TEST_P(work_and_sleep, work_and_sleep_are_carried_out_in_order) {
  serve();
  client& peer = connect();
  const auto begin = steady_clock::now();
  expect_exchange(peer, frame("a", 1) + frame("b", 2, frame_op::sleep, 20ms) +
                            frame(text(100'000, 3), 3, frame_op::work, 20ms) +
                            frame("d", 4, frame_op::work, 20ms, flag_offload) +
                            frame("e", 5, frame_op::sleep, 0us) + frame("f", 6, frame_op::work, 0us) +
                            frame("g", 7, frame_op::upper));
  EXPECT_GE(steady_clock::now() - begin, 60ms);
  expect_clean_stop();
}

// Some are over when the loop is about to wait for them.
TEST_P(work_and_sleep, every_short_sleep_ends) {
  serve();
  exchange e = frame("", 0, frame_op::sleep, 0us);
  for (std::uint32_t i = 1; i < 200; ++i) e = e + frame("", i, frame_op::sleep, i % 25 * 1us);
  expect_exchange(connect(), e);
  expect_clean_stop();
}

TEST_P(work_and_sleep, work_burns_cpu_and_sleep_does_not) {
  serve();
  client& peer = connect();
  EXPECT_TRUE(
      rests_while(server(), [&] { expect_exchange(peer, frame("", 1, frame_op::sleep, quiet_time)); }));
  const auto cpu = [&] { return server().processes().cpu_time(); };
  const auto before = cpu();
  expect_exchange(peer, frame("", 2, frame_op::work, 200ms));
  EXPECT_TRUE(eventually([&] { return cpu() - before >= 190ms; }))
      << "the clock of a process is behind by a tick";
  expect_clean_stop();
}

TEST_P(work_and_sleep, earlier_replies_come_before_a_sleep) {
  serve();
  client& peer = connect();
  const exchange early = frame("early", 1);
  const exchange late = frame("late", 2, frame_op::sleep, 200ms);
  EXPECT_TRUE(in_one_of_several([&] {
    const auto begin = steady_clock::now();
    peer.send(early.request + late.request);
    expect_same(peer.receive(early.reply.size()), early.reply);
    const auto early_after = steady_clock::now() - begin;
    expect_same(peer.receive(late.reply.size()), late.reply);
    EXPECT_GE(steady_clock::now() - begin, 200ms);
    return early_after < 200ms;
  }));
  expect_clean_stop();
}

TEST_P(work_and_sleep, a_peer_may_leave_while_its_request_is_carried_out) {
  serve();
  {
    client& half_closed = connect();
    const exchange e = frame("x", 1, frame_op::sleep, 50ms);
    half_closed.send(e.request);
    half_closed.finish();
    expect_same(half_closed.receive_to_end(), e.reply);
  }
  for (const auto& [op, flags] :
       {std::pair(frame_op::sleep, 0), std::pair(frame_op::work, int{flag_offload})}) {
    client& gone = connect();
    gone.send(frame("x", 1, op, 50ms, static_cast<std::uint8_t>(flags)).request);
    gone.reset();
  }
  client& next = connect();
  expect_exchange(next, frame("still there", 2));
  expect_end(stop());
}

// Ends the test if the model gives no work to other threads.
#define NEEDS_OFFLOADING() \
  if (GetParam().holds == "threads") GTEST_SKIP() << "a connection's own thread works"

// There is room for less than the stack of a thread, which is server_process::stack_size.
TEST_P(work_and_sleep, offloaded_work_is_carried_out_when_no_thread_can_be_started) {
  NEEDS_OFFLOADING();
  serve({"--offload-threads", "2"});
  client& peer = connect();
  const exchange work = frame("work", 1, frame_op::work, 1us, flag_offload);
  expect_exchange(peer, frame("hello", 0));  // now all threads that serve it exist
  const std::size_t threads = server().processes().threads();
  server().processes().limit_address_space(server_process::stack_size / 2);
  expect_exchange(peer, work + frame("between", 2) + work);
  EXPECT_EQ(server().processes().threads(), threads);
  server().processes().limit_address_space(process_tree::unlimited);
  expect_exchange(peer, work);
  const bool offloads =
      server().processes().threads() > threads;  // not if the connection's own thread may block
  expect_clean_stop(offloads ? nlohmann::json{{"offload", 2}} : nlohmann::json::object());
}

TEST_P(work_and_sleep, offloaded_work_makes_do_with_the_threads_that_can_be_started) {
  NEEDS_OFFLOADING();
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "a thread needs much more than its stack with ThreadSanitizer";
#endif
  serve({"--offload-threads", "4"});
  client& peer = connect();
  expect_exchange(peer, frame("hello", 0));
  const std::size_t threads = server().processes().threads();
  server().processes().limit_address_space(server_process::stack_size * 3 / 2);
  exchange work;
  for (std::uint32_t i = 0; i < 5; ++i) work += frame("work", i, frame_op::work, 1us, flag_offload);
  expect_exchange(peer, work);
  const bool offloads = server().processes().threads() > threads;
  EXPECT_EQ(server().processes().threads(), threads + (offloads ? 1 : 0));
  expect_clean_stop(offloads ? nlohmann::json{{"offload", 1}} : nlohmann::json::object());
}

TEST_P(work_and_sleep, the_burnt_time_is_printed) {
  for (const auto& [burn, at_least] :
       {std::pair("0s", 0ns), std::pair("200ns", 20'000ns), std::pair("100us", 10'000'000ns)}) {
    serve({"--burn", burn});
    exchange hundred;
    for (std::uint32_t i = 0; i < 100; ++i) hundred += frame("burn", i);
    expect_exchange(connect(), hundred);
    const auto burnt = std::chrono::nanoseconds(expect_clean_stop().at("burnt_ns").get<std::int64_t>());
    EXPECT_EQ(burnt > 0ns, at_least > 0ns) << burn;
    EXPECT_GE(burnt, at_least) << burn;
  }
}

}  // namespace
}  // namespace echobench::testing
