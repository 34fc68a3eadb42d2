// Half-sync/half-async: one thread waits for all connections and hands those that are ready to a pool of
// workers. These receive, answer and send without ever waiting for a peer, and hand the connection back. So
// the pool serves any number of clients.
#include "servers/serving/blocking_queue.hpp"
#include "servers/serving/epoll_set.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/readiness_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class dispatcher final : public readiness_loop {
public:
  explicit dispatcher(shared_by_loops& shared) : readiness_loop(shared, 0, pool_) {
    if (!set_.control(EPOLL_CTL_ADD, wake_.fd(), EPOLLIN, &wake_)) {
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
    begin_accepting();
  }

  void run(unsigned workers) {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < workers; ++i) {
      threads.emplace_back([this](const std::stop_token& end) { work(end); });
    }
    while (!over()) {
      bool woken = false;
      bool acceptable = false;
      for (const epoll_event& report : set_.wait(wake_at())) {
        if (report.data.ptr == &wake_) {
          woken = true;
        } else if (report.data.ptr == this) {
          acceptable = true;
        } else {
          auto& conn = *static_cast<connection*>(report.data.ptr);
          conn.watched = interest::nothing;  // EPOLLONESHOT
          hand_out(conn);
          ready_.push(&conn);
        }
      }
      attend(woken);
      if (acceptable) accept_available();
    }
  }

private:
  void work(const std::stop_token& end) {
    while (const auto item = ready_.pop(end)) {
      connection& conn = **item;
      receive_available(conn.state, conn.socket.get());
      if (conn.state.next() == step::work) {  // this thread blocks no loop
        conn.state.burn();
        conn.state.carried_out();
      }
      advance(conn.state, conn.socket.get());
      if (conn.state.next() == step::work) {  // again: the others come first
        ready_.push(&conn);
      } else {
        hand_back(conn);
      }
    }
  }

  bool watch(connection& conn, interest what) noexcept override {
    const auto events = static_cast<std::uint32_t>(what);
    const int operation = conn.place == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    const bool done = set_.control(operation, conn.socket.get(), events | EPOLLONESHOT, &conn);
    if (done) conn.place = events == 0 ? 0 : 1;  // in the set
    return done;
  }

  bool watch_listeners(bool wanted) noexcept override {
    return set_.control_all(wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listeners_, this);
  }

  bool works_itself(const connection&) const noexcept override { return false; }
  void hand_out_work(connection& conn) override { ready_.push(&conn); }

  buffer_pool pool_{buffer_pool::use::many_threads};
  epoll_set set_;
  blocking_queue<connection*> ready_;
};

class thread_pool_server {
public:
  static constexpr std::string_view name = "thread-pool";
  static constexpr std::string_view summary =
      "a reactor hands each ready connection to a pool of workers and takes it back";
  static constexpr clients holds = clients::any;
  static std::string_view unavailable_reason() { return ""; }

  explicit thread_pool_server(const server_options& options) : options_(options), listeners_(options, 1) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop) {
    shared_by_loops shared(options_, listeners_, stop);
    dispatcher loop(shared);
    loop.run(options_.threads);
    return {loop.totals()};
  }

private:
  server_options options_;
  listener_set listeners_;
};

}  // namespace

const variant variants::thread_pool = describe<thread_pool_server>();

}  // namespace echobench
