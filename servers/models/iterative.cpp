// One thread, blocking sockets, one client at a time: the next client waits in the backlog.
#include "servers/serving/blocking.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class iterative_server {
public:
  static constexpr description about{.name = "iterative",
                                     .summary = "one thread, blocking sockets, one client at a time",
                                     .family = model_family::threads,
                                     .waits = "one thread, for one client",
                                     .threads = "must be 1",
                                     .colour = "#b8a100"};
  static constexpr clients holds = clients::one;
  static constexpr auto stops = stop_on_signal::by::handler;
  static std::string_view unavailable_reason() { return ""; }

  explicit iterative_server(const server_options& options)
      : options_(without_threads(options, about.name)), listeners_(options, 1) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop, const on_ready& ready) {
    server_totals totals;
    const drain_clock drain(stop, options_.drain_timeout);
    blocking_acceptor acceptor(listeners_.of_loop(0), stop, blocking_acceptor::waits::in_poll);
    const end_listening_on_stop refuses(stop, listeners_);
    const interrupter wakes(stop);
    ready();
    const stop_on_signal::allowed while_it_serves;
    serve_one_by_one(acceptor, options_.connection, drain, totals);
    return {totals};
  }

private:
  server_options options_;
  listener_set listeners_;
};

}  // namespace

const variant variants::iterative = describe<iterative_server>();

}  // namespace echobench
