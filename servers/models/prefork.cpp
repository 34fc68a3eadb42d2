// As many processes as clients are to be served at once, forked beforehand: each blocks in accept(2), then
// serves its client until the client leaves. What goes wrong in a process harms its own client only: another
// process takes its place.
#include "servers/serving/blocking.hpp"
#include "servers/serving/child_processes.hpp"
#include "servers/variants.hpp"

#include <algorithm>

namespace echobench {
namespace {

class prefork_server {
public:
  static constexpr description about{
      .name = "prefork",
      .summary = "processes that block in accept, each with a client of its own",
      .family = model_family::processes,
      .waits = "N processes, each for its client or in accept",
      .threads = "N processes",
      .colour = "#7d4e00"};
  static constexpr clients holds = clients::threads;
  static constexpr auto stops = stop_on_signal::by::handler;
  static std::string_view unavailable_reason() { return ""; }

  explicit prefork_server(const server_options& options)
      : options_(options),
        listeners_(options, 1),
        children_(clients_at_once(options), [this](const child_process& child) { serve_clients(child); }) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop, const on_ready& ready) {
    ready();
    children_.replace_until(stop);
    listeners_.end_listening();
    server_outcome outcome;
    for (const server_totals& of_child : children_.stop(options_.drain_timeout)) outcome.totals += of_child;
    return outcome;
  }

private:
  void serve_clients(const child_process& child) const {
    const drain_clock drain(child.stop, options_.drain_timeout);
    blocking_acceptor acceptor(listeners_.of_loop(0), child.stop, blocking_acceptor::waits::in_accept);
    const interrupter wakes(child.stop);
    const stop_on_signal::allowed while_it_serves;
    child.ready();
    serve_one_by_one(acceptor, options_.connection, drain, child.totals);
  }

  server_options options_;
  listener_set listeners_;
  child_processes children_;
};

}  // namespace

const variant variants::prefork = describe<prefork_server>();

}  // namespace echobench
