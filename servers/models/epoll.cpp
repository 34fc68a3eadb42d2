// The reactor: one level-triggered epoll loop for each thread, which share the port and nothing else.
#include "servers/serving/offload_pool.hpp"
#include "servers/serving/reactor.hpp"
#include "servers/serving/run_on_threads.hpp"
#include "servers/variants.hpp"

#include <deque>

namespace echobench {
namespace {

class epoll_server {
public:
  static constexpr std::string_view name = "epoll";
  static constexpr std::string_view summary =
      "a level-triggered epoll loop for each thread: the floor of the reactors";
  static constexpr clients holds = clients::any;
  static std::string_view unavailable_reason() { return ""; }

  explicit epoll_server(const server_options& options)
      : options_(options), listeners_(options, options.threads) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_totals run(const std::stop_token& stop) {
    const drain_clock drain(stop, options_.drain_timeout);
    std::deque<loop> loops;
    for (unsigned i = 0; i < options_.threads; ++i) loops.emplace_back(*this, i, drain);
    offload_pool offload(
        options_.offload_threads);  // ends before the loops that it hands connections back to
    run_on_threads(options_.threads, [&](unsigned i) { loops[i].run(stop, offload); });
    server_totals totals;
    for (const loop& each : loops) totals += each.totals;
    offload.add_to(totals);
    return totals;
  }

private:
  struct loop {
    loop(epoll_server& server, unsigned index, const drain_clock& drain)
        : events(server.options_, server.listeners_, index, server.count_, pool, drain,
                 reactor::report::level) {}

    void run(const std::stop_token& stop, offload_pool& offload) {
      using connection = reactor::connection;
      const auto serve = [&](connection& who) { events.resume(who, who.advance()); };
      const auto burn_elsewhere = [&](connection& who) {
        offload.submit([&] {
          who.burn();
          events.hand_back(who, connection::wait::offload);
        });
      };
      totals = events.run(stop, serve, burn_elsewhere);
    }

    buffer_pool pool{buffer_pool::use::one_thread};
    reactor events;
    server_totals totals;
  };

  server_options options_;
  listener_set listeners_;
  connection_count count_{options_};
};

}  // namespace

const variant variants::epoll = describe<epoll_server>();

}  // namespace echobench
