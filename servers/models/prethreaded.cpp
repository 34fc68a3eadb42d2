// As many threads as clients are to be served at once, started beforehand: each blocks in accept(2), then
// serves its client until the client leaves.
#include "servers/serving/blocking.hpp"
#include "servers/serving/server_loops.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class prethreaded_server {
public:
  static constexpr description about{.name = "prethreaded",
                                     .summary = "threads that block in accept, each with a client of its own",
                                     .family = model_family::threads,
                                     .waits = "N threads, each for its client or in accept",
                                     .threads = "N threads",
                                     .colour = "#d4a72c"};
  static constexpr clients holds = clients::threads;
  static constexpr auto stops = stop_on_signal::by::handler;
  static std::string_view unavailable_reason() { return ""; }

  explicit prethreaded_server(const server_options& options) : options_(options), listeners_(options, 1) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop, const on_ready& ready) {
    const drain_clock drain(stop, options_.drain_timeout);
    std::vector<server_totals> totals(clients_at_once(options_));
    require_descriptors(totals.size());
    const end_listening_on_stop refuses(stop, listeners_);
    interrupter wakes(stop);
    {
      const stop_on_signal::allowed while_they_serve;
      run_on_threads(static_cast<unsigned>(totals.size()), ready, [&](unsigned i) {
        const interrupter::registration registered(wakes);
        blocking_acceptor acceptor(listeners_.of_loop(0), stop, blocking_acceptor::waits::in_accept);
        serve_one_by_one(acceptor, options_.connection, drain, totals[i]);
      });
    }
    server_outcome outcome;
    for (const server_totals& of_thread : totals) outcome.totals += of_thread;
    return outcome;
  }

private:
  server_options options_;
  listener_set listeners_;
};

}  // namespace

const variant variants::prethreaded = describe<prethreaded_server>();

}  // namespace echobench
