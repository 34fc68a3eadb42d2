// As many threads as clients are to be served at once, started beforehand: each blocks in accept(2), then
// serves its client until the client leaves.
#include "servers/serving/blocking.hpp"
#include "servers/serving/server_loops.hpp"
#include "servers/variants.hpp"

#include <algorithm>

namespace echobench {
namespace {

class prethreaded_server {
public:
  static constexpr std::string_view name = "prethreaded";
  static constexpr std::string_view summary = "threads that block in accept, each with a client of its own";
  static constexpr clients holds = clients::threads;
  static std::string_view unavailable_reason() { return ""; }

  explicit prethreaded_server(const server_options& options) : options_(options), listeners_(options, 1) {
    const unsigned most = options.max_connections;
    if (most > 0) options_.threads = std::min(options_.threads, most);
  }

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop) {
    const drain_clock drain(stop, options_.drain_timeout);
    interrupter wakes(stop);
    std::vector<server_totals> totals(options_.threads);
    run_on_threads(options_.threads, [&](unsigned i) {
      const interrupter::registration registered(wakes);
      serve_clients(stop, drain, totals[i]);
    });
    server_outcome outcome;
    for (const server_totals& of_thread : totals) outcome.totals += of_thread;
    return outcome;
  }

private:
  void serve_clients(const std::stop_token& stop, const drain_clock& drain, server_totals& totals) {
    blocking_acceptor acceptor(listeners_.of_loop(0), stop, blocking_acceptor::waits::in_accept);
    serve_one_by_one(acceptor, options_.connection, drain, totals);
  }

  server_options options_;
  listener_set listeners_;
};

}  // namespace

const variant variants::prethreaded = describe<prethreaded_server>();

}  // namespace echobench
