// What a server uses: CPU time, memory, descriptors and threads; and what it does when they are lacking.
#include "servers/conformance/conformance.hpp"

#include <cstdlib>
#include <system_error>

namespace echobench::testing {
namespace {

struct holdings {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  friend bool operator==(const holdings&, const holdings&) = default;
};

holdings holdings_of(const server_process& server) {
  const process_tree processes = server.processes();
  return {processes.descriptors(), processes.threads()};
}

// What a server holds, once that no longer changes and none of its threads waits for a CPU to change it.
holdings settled(const server_process& server) {
  holdings now;
  EXPECT_TRUE(eventually([&] {
    const holdings was = now;
    now = holdings_of(server);
    std::this_thread::sleep_for(50ms);
    return now == was && !server.processes().busy();
  }));
  return now;
}

class resources : public conformance {};
FOR_SERVERS(resources, "frame");
class exhaustion : public conformance {};
FOR_VARIANTS(exhaustion, "frame");

TEST_P(resources, uses_no_cpu_while_idle) {
  serve(clients(at_once(50)));
  const std::vector<client*> peers = connect_many(at_once(50));
  for (client* peer : peers) expect_exchange(*peer, message(5, 1));
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  expect_clean_stop();
}

TEST_P(resources, descriptors_and_threads_return_to_where_they_began) {
  serve();
  {
    client& first = connect();  // some things are started once, with the first client
    const bool ours = GetParam().ours;
    expect_exchange(first, ours ? frame("hello", 0, frame_op::work, 1us, flag_offload) : message(5, 0));
    first.close();
  }
  const holdings before = settled(server());
  for (int i = 0; i < 60; ++i) {
    client& peer = connect();
    expect_exchange(peer, message(5, 1));
    if (i % 3 == 0) peer.reset();
    if (i % 3 == 1) {
      peer.finish();
      EXPECT_EQ(peer.receive_to_end(), "");
    }
    if (i % 3 != 0) peer.close();
  }
  holdings after;
  EXPECT_TRUE(eventually([&] {
    after = holdings_of(server());
    // Other runtimes keep threads that they have started.
    return after.descriptors <= before.descriptors && (!GetParam().ours || after.threads <= before.threads);
  })) << after.descriptors
      << " descriptors, were " << before.descriptors << "; " << after.threads << " threads, were "
      << before.threads;
  expect_end(stop());
}

TEST_P(exhaustion, waits_for_descriptors_without_spinning) {
  if (GetParam().holds != "any") GTEST_SKIP() << "holds " << GetParam().holds;
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends a process that starts a thread while no descriptor is left";
#endif
  serve({}, sanitized ? 40 : 30);
  const std::vector<client*> peers = connect_many(60);
  for (client* peer : peers) peer->send(frame("hello", 1).request);
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  for (client* peer : peers) {  // one that leaves makes room for another
    EXPECT_EQ(peer->receive(21), frame("hello", 1).reply);
    peer->close();
  }
  const auto totals = expect_end(server().stop());
  EXPECT_EQ(totals.at("accepted"), 60);
  EXPECT_GT(totals.at("errors").at("accept"), 0);
}

TEST_P(exhaustion, without_memory_turns_clients_away_and_keeps_those_it_has) {
  if (GetParam().holds != "any") GTEST_SKIP() << "holds " << GetParam().holds;
  if (sanitized) GTEST_SKIP() << "a sanitizer needs address space itself";
  serve();
  const std::vector<client*> kept = connect_many(20);
  for (client* peer : kept) expect_exchange(*peer, frame("hello", 1));
  server().processes().limit_address_space(0);
  const std::vector<client*> others = connect_many(300);
  const exchange large = frame(text(60'000, 1), 1);  // takes the largest buffer
  for (client* peer : others) peer->send(large.request);
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  for (client* peer : kept) expect_exchange(*peer, frame("hello", 2));
  server().processes().limit_address_space(process_tree::unlimited);
  std::size_t served = 0;
  for (client* peer : others) {
    bytes reply;
    try {
      reply = peer->receive(large.reply.size());
    } catch (const std::system_error&) {  // reset: it was turned away
    }
    if (!reply.empty()) expect_same(reply, large.reply);
    if (!reply.empty()) ++served;
    peer->close();
  }
  for (client* peer : kept) expect_exchange(*peer, frame("hello", 3));
  const auto totals = expect_end(stop());
  EXPECT_GE(totals.at("accepted"), kept.size() + served);
  EXPECT_GT(totals.at("errors").at("accept"), 0);
  std::size_t counted = 0;
  for (const auto& [kind, times] : totals.at("errors").items()) counted += times.get<std::size_t>();
  EXPECT_GE(counted, others.size() - served);
}

// The second and the third connection that is added to an epoll set is refused: to some servers that is one
// that has slept, and a new one.
TEST_P(exhaustion, clients_that_cannot_be_waited_for_are_turned_away_and_counted) {
  if (GetParam().name == "libuv") GTEST_SKIP() << "libuv ends the process";
  const char* const set = std::getenv("ASAN_OPTIONS");
  const std::string options = set == nullptr ? "" : set;
  // GLIBC_TUNABLES: what is freed is overwritten, so that using it again shows (mallopt(3), M_PERTURB).
  arguments preloaded{"/usr/bin/env", "LD_PRELOAD=" REFUSING_EPOLL_PATH,
                      "GLIBC_TUNABLES=glibc.malloc.tcache_count=0:glibc.malloc.perturb=165",
                      "ASAN_OPTIONS=" + options + ":verify_asan_link_order=0"};
  for (const std::string& part : command()) preloaded.push_back(part);
  server_process server(preloaded);
  const auto served = [&] {
    const exchange sleep = frame("", 1, frame_op::sleep, 1us);
    const exchange hello = frame("hello", 2);
    try {
      client peer(server.address());
      peer.send(sleep.request);
      if (peer.receive(sleep.reply.size()) != sleep.reply) return false;
      peer.send(hello.request);
      return peer.receive(hello.reply.size()) == hello.reply;
    } catch (const std::system_error&) {  // a reset
      return false;
    }
  };
  std::size_t turned_away = 0;
  for (int i = 0; i < 4; ++i) turned_away += served() ? 0 : 1;
  EXPECT_TRUE(served());
  EXPECT_EQ(turned_away, server.processes().epoll_sets() > 0 ? 2U : 0U);
  exit_report report = server.stop();
  if (GetParam().name == "libevent") report.errors.clear();  // the library itself writes a warning
  // Asio itself closes those that it cannot wait for, before it reports a client.
  const std::size_t unseen = GetParam().name.starts_with("asio") ? turned_away : 0;
  auto errors = nlohmann::json::object();
  if (turned_away > unseen) errors["accept"] = turned_away;
  EXPECT_EQ(expect_end(report, errors).at("accepted"), 5 - unseen);
}

// Wherever memory comes to an end, which depends on the limit; while clients that the server has served stay.
TEST_P(exhaustion, without_memory_the_server_stops) {
  if (GetParam().holds != "any") GTEST_SKIP() << "holds " << GetParam().holds;
  if (sanitized) GTEST_SKIP() << "a sanitizer needs address space itself";
  const exchange large = frame(text(30'000, 1), 1);
  for (std::uint64_t kilobytes = 1536; kilobytes < 5000; kilobytes += 768) {
    SCOPED_TRACE(std::to_string(kilobytes) + " KiB");
    serve({"--drain-timeout", "200ms"});
    client& kept = connect();
    expect_exchange(kept, frame("hello", 1));
    server().processes().limit_address_space(kilobytes * 1024);
    for (int i = 0; i < 300; ++i) connect().send_some(large.request);
    EXPECT_TRUE(eventually([&] { return !server().processes().busy(); }));
    expect_exchange(kept, frame("hello", 2));
    expect_end(server().stop());
    if (HasFailure()) return;
  }
}

// If there is a thread or a process for each client: one that waits in accept(2) has reserved a descriptor
// for its next client, and none can get another descriptor.
TEST_P(exhaustion, all_threads_wait_for_descriptors_without_spinning) {
  if (GetParam().holds != "threads") GTEST_SKIP() << "holds " << GetParam().holds;
  NEEDS_RESERVED_DESCRIPTORS();
  serve(clients(10));
  for (client* peer : connect_many(10)) expect_exchange(*peer, frame("hello", 1));
  disconnect();
  settled(server());
  server().processes().limit_descriptors(0);
  const std::vector<client*> peers = connect_many(20);
  for (client* peer : peers) peer->send(frame("hello", 1).request);
  const auto expect_replies = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      EXPECT_EQ(peers[i]->receive(21), frame("hello", 1).reply);
      peers[i]->close();
    }
  };
  expect_replies(0, 10);
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  server().processes().limit_descriptors(process_tree::unlimited);
  expect_replies(10, 20);
  const auto totals = expect_end(server().stop());
  EXPECT_EQ(totals.at("accepted"), 30);
  EXPECT_GT(totals.at("errors").at("accept"), 0);
}

TEST_P(exhaustion, a_thousand_half_sent_frames_cost_bounded_memory) {
  NEEDS_SEVERAL_CLIENTS();
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer itself uses more than a megabyte for each thread";
#endif
  const std::size_t count = at_once(GetParam().holds == "threads" ? 100 : 1000);
  constexpr std::size_t sent = 300'000;  // of 1 MiB; the replies are not read
  serve(clients(count));
  settled(server());
  const std::size_t before = server().processes().resident_bytes();
  std::vector<client*> peers;
  const bytes half = frame(text(1 << 20, 1), 1).request.substr(0, frame_header_size + sent);
  for (std::size_t i = 0; i < count; ++i) {
    peers.push_back(&connect());
    peers.back()->send(half);
  }
  peers.back()->receive(frame_header_size + 1000);  // the server has served all before this one
  const std::size_t used = server().processes().resident_bytes() - before;
  const std::size_t overhead =
      (GetParam().holds == "threads" ? 48 : 16) * 1024;  // of a connection, its thread, its process
  const std::size_t bound = count * (64 * 1024 + overhead) * (sanitized ? 4 : 1);
  EXPECT_LT(used, bound) << used / count << " bytes for each connection";
  expect_end(stop());
}

// An accept_pause for each client would take 1.9 s.
TEST_P(exhaustion, a_client_that_leaves_makes_room_at_once) {
  serve(clients(1, {"--max-connections", "1"}));
  EXPECT_TRUE(in_one_of_several([&] {
    const auto begin = steady_clock::now();
    for (std::uint32_t i = 0; i < 20; ++i) {
      client& peer = connect();
      expect_exchange(peer, frame("hello", i));
      peer.close();
    }
    return steady_clock::now() - begin < 1s;
  }));
  expect_clean_stop();
}

}  // namespace
}  // namespace echobench::testing
