// A process with an epoll loop for each core, forked beforehand: the shape of nginx. The processes share the
// listeners; the kernel wakes one of them for a connection (EPOLLEXCLUSIVE), which accepts that one and
// leaves others to the rest. What goes wrong in a process harms its own clients only: another process takes
// its place.
#include "servers/serving/child_processes.hpp"
#include "servers/serving/epoll_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class process_loop final : public epoll_loop<> {
public:
  process_loop(shared_by_loops& shared, unsigned index)
      : epoll_loop(shared, index, EPOLLIN | EPOLLEXCLUSIVE) {
    acceptor_.accept_at_once(1);
  }

  void run() {
    while (!over()) {
      turn([this](connection& conn, std::uint32_t) { serve(conn); });
    }
  }
};

class prefork_epoll_server {
public:
  static constexpr description about{
      .name = "prefork-epoll",
      .summary = "processes with an epoll loop each, which share the listeners",
      .family = model_family::processes,
      .waits = "N processes, each an event loop for its clients",
      .threads = "N processes",
      .colour = "#a66a00"};
  static constexpr clients holds = clients::any;
  static constexpr auto stops = stop_on_signal::by::handler;
  static std::string_view unavailable_reason() { return ""; }

  explicit prefork_epoll_server(const server_options& options)
      : options_(options),
        listeners_(options, 1),
        children_(processes(options), [this](const child_process& child) { serve_clients(child); }) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop, const on_ready& ready) {
    ready();
    server_outcome outcome;
    for (const server_totals& of_child : children_.run(stop)) {
      outcome.totals += of_child;
      outcome.requests_of_loops.push_back(of_child.requests);
    }
    return outcome;
  }

private:
  // Each has its part of --max-connections.
  static unsigned processes(const server_options& options) {
    return options.max_connections == 0 ? options.threads
                                        : std::min(options.threads, options.max_connections);
  }

  void serve_clients(const child_process& child) {
    server_options options = options_;
    const unsigned n = processes(options);
    options.max_connections =
        options.max_connections / n + (child.index < options.max_connections % n ? 1 : 0);
    shared_by_loops shared(options, listeners_, child.stop);
    shared.totals = &child.totals;
    process_loop loop(shared, 0);
    {
      const stop_on_signal::allowed while_it_serves;
      child.ready();
      loop.run();
    }
    shared.offload.finish();
    shared.offload.add_to(child.totals);
  }

  server_options options_;
  listener_set listeners_;
  child_processes children_;
};

}  // namespace

const variant variants::prefork_epoll = describe<prefork_epoll_server>();

}  // namespace echobench
