// Half-sync/half-async: one thread waits for all connections and hands each that is ready to a pool of
// workers, which receive, answer and send without ever waiting for a peer, and hand it back. It serves any
// number of clients.
#include "servers/serving/blocking_queue.hpp"
#include "servers/serving/reactor.hpp"
#include "servers/variants.hpp"

#include <thread>

namespace echobench {
namespace {

using connection = reactor::connection;
using ready_queue = blocking_queue<connection*>;

class thread_pool_server {
public:
  static constexpr std::string_view name = "thread-pool";
  static constexpr std::string_view summary =
      "a reactor hands each ready connection to a pool of workers and takes it back";
  static constexpr clients holds = clients::any;
  static std::string_view unavailable_reason() { return ""; }

  explicit thread_pool_server(const server_options& options) : options_(options), listeners_(options, 1) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_totals run(const std::stop_token& stop) {
    const drain_clock drain(stop, options_.drain_timeout);
    buffer_pool pool(buffer_pool::use::many_threads);
    reactor loop(options_, listeners_, 0, count_, pool, drain, reactor::report::once);
    ready_queue ready;
    std::vector<std::jthread> workers;
    for (unsigned i = 0; i < options_.threads; ++i) {
      workers.emplace_back([&](const std::stop_token& end) { work(ready, loop, end); });
    }
    const auto push = [&](connection& who) { ready.push(&who); };
    const auto hand_out = [&](connection& who) {
      loop.hand_out(who);
      push(who);
    };
    return loop.run(stop, hand_out, push);
  }

private:
  static void work(ready_queue& ready, reactor& loop, const std::stop_token& end) {
    while (const auto item = ready.pop(end)) {
      connection& who = **item;
      auto next = who.advance();
      if (next == connection::wait::offload) {  // this thread keeps no loop from turning
        who.burn();
        next = who.complete();
      }
      if (next == connection::wait::offload) {  // again: others first
        ready.push(&who);
        continue;
      }
      loop.hand_back(who, next);
    }
  }

  server_options options_;
  listener_set listeners_;
  connection_count count_{options_};
};

}  // namespace

const variant variants::thread_pool = describe<thread_pool_server>();

}  // namespace echobench
