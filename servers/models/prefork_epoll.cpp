// A process with an epoll loop for each core, forked beforehand: the shape of nginx. The processes share the
// listeners; the kernel wakes one of them for a connection (EPOLLEXCLUSIVE), which accepts that one and
// leaves others to the rest. If it cannot accept, because it has its part of --max-connections or lacks a
// descriptor, it wakes the others. What goes wrong in a process harms its own clients only: another process
// takes its place.
#include "servers/serving/child_processes.hpp"
#include "servers/serving/epoll_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class process_loop final : public epoll_loop<> {
public:
  // ask_others: what all processes of the server have in their sets.
  process_loop(shared_by_loops& shared, const wake_event& ask_others)
      : epoll_loop(shared, 0, EPOLLIN | EPOLLEXCLUSIVE), ask_others_(ask_others) {
    acceptor_.accept_at_once(1);
    if (!set_.control(EPOLL_CTL_ADD, ask_others_.fd(), EPOLLIN | EPOLLET, listeners_tag())) {
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
  }

  void run() {
    while (!over()) {
      turn([this](connection& conn, std::uint32_t) { serve(conn); });
    }
  }

private:
  bool watch_listeners(bool wanted) noexcept override {
    if (!wanted) ask_others_.signal();
    return epoll_loop::watch_listeners(wanted);
  }

  const wake_event& ask_others_;
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
    children_.replace_until(stop);
    listeners_.end_listening();
    server_outcome outcome;
    for (const server_totals& of_child : children_.stop(options_.drain_timeout)) {
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
    process_loop loop(shared, ask_others_);
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
  wake_event ask_others_;
  child_processes children_;
};

}  // namespace

const variant variants::prefork_epoll = describe<prefork_epoll_server>();

}  // namespace echobench
