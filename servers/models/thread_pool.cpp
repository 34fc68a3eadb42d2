// Half-sync/half-async: one thread waits for all connections and queues those that are ready for a pool of
// workers. These receive, answer and send without ever waiting for a peer, and then have epoll(7) report the
// connection again. So the pool serves any number of clients.
//
// A request that comes singly wakes two threads, the one that waits and a worker. CPU time was 1.55 to 1.65
// times that of epoll at equal load (raw, 100 and 1,000 connections, two workers on one CPU), and 1.8 at
// saturation. Workers could wait in the set themselves, and need no queue: that is epoll-shared.
#include "servers/serving/blocking_queue.hpp"
#include "servers/serving/shared_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class pool final : public shared_loop {
public:
  static constexpr description about{
      .name = "thread-pool",
      .summary = "one thread waits for all connections, a pool of workers serves those that are ready",
      .family = model_family::threads,
      .waits = "one thread for all clients; N workers serve those that are ready",
      .threads = "N workers and the thread that waits",
      .colour = "#1a7f37"};
  static constexpr unsigned further_threads = 1;  // the one that waits
  static std::string_view unavailable_reason() { return ""; }

  pool(shared_by_loops& shared, unsigned index)
      : shared_loop(shared, index, offloaded_work::to_this_thread) {}

  void run() { dispatches_.test_and_set() ? work() : dispatch(); }

private:
  void dispatch() {
    epoll_reports reports;
    while (!over()) take(wait(reports));
    ready_.close();
  }

  void ready(connection& conn) override try {
    ready_.push(&conn);
  } catch (const std::bad_alloc&) {  // of the queue
    serve(conn);
  }

  void work() {
    while (const auto conn = ready_.pop()) serve(**conn);
  }

  std::atomic_flag dispatches_;
  blocking_queue<connection*> ready_;
};

}  // namespace

const variant variants::thread_pool = describe<server_of_loops<pool>>();

}  // namespace echobench
