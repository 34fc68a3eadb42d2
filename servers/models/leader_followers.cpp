// Leader/followers: the threads take turns at waiting. The leader waits for one event; before it serves the
// connection it lets a follower lead. Unlike in a pool no connection passes from a thread to another, and no
// queue is needed.
//
// A leader wakes the next one for each event. CPU time was 1.3 to 1.55 times that of epoll at equal load
// (raw, 100 and 1,000 connections, two threads on one CPU), and 1.2 at saturation. Threads that all wait in
// the set need no turns: epoll-shared.
#include "servers/serving/shared_loop.hpp"
#include "servers/variants.hpp"

#include <condition_variable>
#include <mutex>

namespace echobench {
namespace {

class threads final : public shared_loop {
public:
  static constexpr description about{
      .name = "leader-followers",
      .summary = "threads take turns at waiting for one event, and serve it themselves",
      .family = model_family::threads,
      .waits = "one of N threads, in turn, for one event, which it serves while the next one waits",
      .threads = "N threads",
      .colour = "#57ab5a"};
  static std::string_view unavailable_reason() { return ""; }

  threads(shared_by_loops& shared, unsigned index)
      : shared_loop(shared, index, offloaded_work::to_offload_pool) {}

  void run() {
    while (!over()) take(lead());
    wake();
  }

private:
  std::span<const epoll_event> lead() {
    thread_local epoll_event event;
    {
      std::unique_lock lock(mutex_);
      promotes_.wait(lock, [this] { return !has_leader_; });
      has_leader_ = true;
    }
    const auto reports = wait(std::span(&event, 1));
    {
      const std::lock_guard lock(mutex_);
      has_leader_ = false;
    }
    promotes_.notify_one();
    return reports;
  }

  void ready(connection& conn) override { serve(conn); }

  std::mutex mutex_;
  std::condition_variable promotes_;
  bool has_leader_ = false;
};

}  // namespace

const variant variants::leader_followers = describe<server_of_loops<threads>>();

}  // namespace echobench
