// The threads and processes that serve: as many as the model says, and what happens when one ends.
#include "common/proc_files.hpp"
#include "common/process.hpp"
#include "servers/conformance/conformance.hpp"

#include <algorithm>
#include <csignal>
#include <set>

namespace echobench::testing {
namespace {

// Whichever thread is free serves a connection.
const std::set<std::string> serve_any_connection{"thread-pool", "leader-followers", "epoll-shared",
                                                 "asio-callback-shared", "asio-coroutine-shared"};

class workers : public conformance {
protected:
  // Starts a server with two processes for clients; ends the test if the model has one process.
#define SERVE_BY_TWO_PROCESSES(...)                                               \
  serve({"--threads", "2" __VA_OPT__(, ) __VA_ARGS__});                           \
  if (server().listening().is_null() || server().processes().pids().size() < 3) { \
    GTEST_SKIP() << "serves in one process";                                      \
  }
  // Starts a server for any number of clients, with these options; ends the test if it holds a number of
  // them, or has one thread.
#define SERVE_ANY_BY_THREADS(...)                                              \
  if (GetParam().holds != "any") GTEST_SKIP() << "holds " << GetParam().holds; \
  serve({__VA_ARGS__});                                                        \
  if (server().listening().is_null()) GTEST_SKIP() << "has one thread"

  void end_one_by(int signal) {
    const pid_t ended = server().processes().pids().back();
    ::kill(ended, signal);
    EXPECT_TRUE(eventually([&] {
      const auto pids = server().processes().pids();
      return pids.size() == 3 && std::ranges::find(pids, ended) == pids.end();
    })) << "no other process has taken its place";
  }
};
FOR_VARIANTS(workers, "frame");

TEST_P(workers, are_as_many_threads_as_the_model_says) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer itself has a thread in each process";
#endif
  const std::map<std::string, std::size_t> more_than_one{{"prefork", 3},
                                                         {"prefork-epoll", 2},
                                                         {"prethreaded", 2},
                                                         {"thread-per-connection", 3},
                                                         {"thread-pool", 2}};
  const auto expected = more_than_one.find(GetParam().name);
  serve(clients(2));
  for (client* peer : connect_many(at_once(2))) expect_exchange(*peer, frame("hello", 1));
  EXPECT_EQ(server().processes().threads(), expected == more_than_one.end() ? 1 : expected->second);
  expect_clean_stop();
}

// Each needs a stack, for which there is no room.
TEST_P(workers, that_cannot_be_started_are_an_error_before_the_server_listens) {
  if (sanitized) GTEST_SKIP() << "a sanitizer needs more address space than the limit leaves";
  arguments limited{"/bin/sh", "-c", "ulimit -v 400000; exec \"$0\" \"$@\""};
  for (const std::string& part : command({"--threads", "100"})) limited.push_back(part);
  server_process server(limited);
  if (!server.listening().is_null()) {
    EXPECT_GT(server.processes().pids().size(), 100U) << "its processes need no memory of this one";
    expect_end(server.stop());
    return;
  }
  const exit_report report = server.wait();
  if (report.status == exit_usage) GTEST_SKIP() << "has one thread";
  EXPECT_EQ(report.status, exit_failed);
  EXPECT_EQ(std::ranges::count(report.errors, '\n'), 1) << report.errors;
  if (GetParam().name.find("uring") != std::string::npos) GTEST_SKIP() << "its rings need the memory before";
  EXPECT_NE(report.errors.find("cannot start thread"), std::string::npos) << report.errors;
  EXPECT_NE(report.errors.find(" of 10"), std::string::npos) << report.errors;
}

TEST_P(workers, for_which_descriptors_are_lacking_are_an_error_before_the_server_listens) {
  server_process server(command({"--threads", "100"}), 60);
  if (!server.listening().is_null()) {
    EXPECT_TRUE(server.processes().pids().size() > 100 || server.listening().at("loops") == 1)
        << "each process has descriptors of its own";
    EXPECT_FALSE(GetParam().holds == "threads" && server.processes().pids().size() == 1);
    expect_end(server.stop());
    return;
  }
  const exit_report report = server.wait();
  if (report.status == exit_usage) GTEST_SKIP() << "has one thread";
  EXPECT_EQ(report.status, exit_failed);
  EXPECT_EQ(std::ranges::count(report.errors, '\n'), 1) << report.errors;
  EXPECT_NE(report.errors.find("Too many open files"), std::string::npos) << report.errors;
}

// accept(2) reserves a descriptor before it looks for a client.
TEST_P(workers, count_no_error_where_no_client_waits_for_a_descriptor) {
  if (GetParam().holds == "any") GTEST_SKIP() << "holds any";
  NEEDS_RESERVED_DESCRIPTORS();
  const std::size_t count = holds_several() ? 5 : 1;
  serve(clients(count));
  for (client* peer : connect_many(count)) expect_exchange(*peer, frame("hello", 1));
  disconnect();
  EXPECT_TRUE(eventually([&] { return !server().processes().busy(); }));
  server().processes().limit_descriptors(0);
  for (client* peer : connect_many(holds_several() ? count : 0)) expect_exchange(*peer, frame("hello", 1));
  disconnect();  // and their threads try to accept again
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  server().processes().limit_descriptors(process_tree::unlimited);
  expect_exchange(connect(), frame("hello", 2));
  expect_clean_stop();
}

TEST_P(workers, accept_everybody_who_comes_at_once) {
  SERVE_ANY_BY_THREADS("--threads", "4");
  const exchange hello = frame("hello", 1);
  for (int i = 0; i < 10; ++i) {
    std::list<client> peers;
    for (int n = 0; n < 50; ++n) peers.emplace_back(server().address()).send(hello.request);
    for (client& peer : peers) expect_same(peer.receive(hello.reply.size()), hello.reply);
  }
  expect_clean_stop();
}

// Whoever has as many as it may hold leaves the next to another.
TEST_P(workers, serve_together_as_many_as_are_allowed) {
  SERVE_ANY_BY_THREADS("--threads", "2", "--max-connections", "4");
  const exchange hello = frame("hello", 1);
  std::list<client> peers;
  for (int i = 0; i < 4; ++i) expect_exchange(peers.emplace_back(server().address()), hello);
  peers.clear();
  expect_clean_stop();
}

// They meet the limit while another thread waits already.
TEST_P(workers, accept_who_waits_when_descriptors_are_back) {
  SERVE_ANY_BY_THREADS("--threads", "2");
  const exchange hello = frame("hello", 1);
  client first(server().address());
  expect_exchange(first, hello);
  server().processes().limit_descriptors(8);
  server().signal_all(SIGSTOP);
  std::list<client> peers;
  for (int i = 0; i < 20; ++i) peers.emplace_back(server().address()).send(hello.request);
  server().signal_all(SIGCONT);
  const auto answered = [](const client& peer) { return peer.readable_within(0ms); };
  EXPECT_TRUE(eventually([&] { return std::ranges::any_of(peers, answered); }));
  std::this_thread::sleep_for(quiet_time);
  const bool kernel_accepts = GetParam().name.ends_with("uring");  // up to the limit of when it was asked to
  EXPECT_TRUE(kernel_accepts || !std::ranges::all_of(peers, answered)) << "the limit is not met";
  server().processes().limit_descriptors(process_tree::unlimited);
  for (client& peer : peers) EXPECT_TRUE(peer.readable_within(patience));
  peers.clear();
  first.close();
  expect_end(stop());
}

TEST_P(workers, are_not_waited_for_while_others_wait) {
  if (!serve_any_connection.contains(GetParam().name)) GTEST_SKIP() << "a connection is one thread's";
  serve({"--threads", "3"});
  client worker(server().address());
  std::list<client> others;
  for (int i = 0; i < 12; ++i) others.emplace_back(server().address());
  const exchange hello = frame("hello", 1);
  const exchange work = frame("busy", 2, frame_op::work, 300ms);
  for (client& peer : others) expect_exchange(peer, hello);
  EXPECT_TRUE(in_one_of_several([&] {
    server().signal(SIGSTOP);
    worker.send(work.request);
    for (client& peer : others) peer.send(hello.request);
    EXPECT_TRUE(eventually([&] { return std::ranges::all_of(others, &client::delivered); }));
    server().signal(SIGCONT);
    for (client& peer : others) expect_same(peer.receive(hello.reply.size()), hello.reply);
    const bool overtaken = !worker.readable_within(0ms);
    expect_same(worker.receive(work.reply.size()), work.reply);
    return overtaken;
  }));
  others.clear();
  worker.close();
  expect_clean_stop();
}

TEST_P(workers, one_that_is_suspended_does_not_keep_the_server) {
  SERVE_BY_TWO_PROCESSES("--drain-timeout", "100ms");
  ::kill(server().processes().pids().back(), SIGSTOP);
  expect_end(stop(), {{"worker_lost", 1}});
}

TEST_P(workers, one_that_is_stopped_loses_no_client_and_is_replaced) {
  SERVE_BY_TWO_PROCESSES();
  const std::vector<client*> peers = connect_many(2);
  for (client* peer : peers) expect_exchange(*peer, frame("hello", 1));
  end_one_by(SIGTERM);
  disconnect();
  for (client* peer : connect_many(2)) expect_exchange(*peer, frame("hello", 2));
  const auto totals = expect_clean_stop({{"worker_lost", 1}});
  EXPECT_EQ(totals.at("accepted"), 4);
  EXPECT_EQ(totals.at("requests"), 4);
}

TEST_P(workers, one_that_is_killed_harms_its_own_clients_only) {
  SERVE_BY_TWO_PROCESSES();
  const auto served = [](client* peer) {
    try {
      peer->send(frame("hello", 1).request);
      return peer->receive(21) == frame("hello", 1).reply;
    } catch (const std::system_error&) {  // a reset
      return false;
    }
  };
  const std::size_t descriptors = server().processes().descriptors();
  expect_exchange(connect(), frame("before", 0));
  disconnect();
  ASSERT_TRUE(eventually([&] { return server().processes().descriptors() == descriptors; }));
  std::map<pid_t, std::size_t> idle;  // descriptors of each child
  const process_tree processes = server().processes();
  for (const pid_t pid : processes.pids()) {
    if (pid != server().pid()) idle[pid] = process_tree(pid).descriptors();
  }
  const auto has_clients = [](const auto& child) {
    return process_tree(child.first).descriptors() > child.second;
  };
  client& first = connect();
  ASSERT_TRUE(served(&first));
  const auto chosen = std::ranges::find_if(idle, has_clients);
  ASSERT_NE(chosen, idle.end());
  const pid_t has_first = chosen->first;
  ::kill(has_first, SIGSTOP);  // the next client is the other's
  ASSERT_TRUE(eventually([&] { return read_stat(has_first).value_or(process_stat()).state == 'T'; }));
  client& second = connect();
  ASSERT_TRUE(served(&second));
  ::kill(has_first, SIGCONT);
  end_one_by(SIGKILL);
  EXPECT_NE(served(&first), served(&second));
  disconnect();
  expect_exchange(connect(), frame("hello", 2));
  const auto totals = expect_clean_stop({{"worker_lost", 1}});
  EXPECT_EQ(totals.at("requests"), 4);  // with those of clients that had left before
}

}  // namespace
}  // namespace echobench::testing
