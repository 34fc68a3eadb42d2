// The threads and processes that serve: as many as the model says, and what happens when one ends.
#include "servers/conformance/conformance.hpp"

#include <algorithm>
#include <csignal>

namespace echobench::testing {
namespace {

class workers : public conformance {
protected:
  // Starts a server with two processes for clients; ends the test if the model has one process.
#define SERVE_BY_TWO_PROCESSES()                                                  \
  serve({"--threads", "2"});                                                      \
  if (server().listening().is_null() || server().processes().pids().size() < 3) { \
    GTEST_SKIP() << "serves in one process";                                      \
  }

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
  std::map<pid_t, std::size_t> idle;  // descriptors of each child
  const process_tree processes = server().processes();
  for (const pid_t pid : processes.pids()) {
    if (pid != server().pid()) idle[pid] = process_tree(pid).descriptors();
  }
  const auto has_clients = [](const auto& child) {
    return process_tree(child.first).descriptors() > child.second;
  };
  std::vector<client*> peers;  // the kernel may give many to one process: until each has some
  for (int i = 0; i < 50 && !std::ranges::all_of(idle, has_clients); ++i) {
    for (client* peer : connect_many(2)) {
      peers.push_back(peer);
      ASSERT_TRUE(served(peer));
    }
  }
  ASSERT_TRUE(std::ranges::all_of(idle, has_clients));
  end_one_by(SIGKILL);
  const auto left = std::ranges::count_if(peers, served);
  EXPECT_LT(left, peers.size());
  EXPECT_GT(left, 0);
  disconnect();
  expect_exchange(connect(), frame("hello", 2));
  const auto totals = expect_clean_stop({{"worker_lost", 1}});
  EXPECT_GT(totals.at("requests"), left);
}

}  // namespace
}  // namespace echobench::testing
