// What the loops of a server share, and how there is one on each of its threads.
#pragma once

#include "servers/serving/listener.hpp"
#include "servers/serving/offload_pool.hpp"

#include <atomic>
#include <cstddef>
#include <deque>
#include <future>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace echobench {

// The number of connections of all loops; accepting pauses at the limit. Safe from any thread.
class connection_count {
public:
  explicit connection_count(unsigned limit) noexcept : limit_(limit) {}  // 0: none

  // To be called before accepting, so that the limit is never exceeded. False: it is reached.
  bool try_add() noexcept {
    if (live_.fetch_add(1, std::memory_order_relaxed) < limit_ || limit_ == 0) return true;
    remove();
    return false;
  }
  // The connection has ended, or there was none to accept.
  void remove() noexcept { live_.fetch_sub(1, std::memory_order_relaxed); }
  std::size_t live() const noexcept { return live_.load(std::memory_order_relaxed); }

private:
  std::size_t limit_;
  std::atomic<std::size_t> live_{0};
};

// Safe from any thread, except for the listeners: each loop has its own. What it refers to must outlive it.
struct shared_by_loops {
  shared_by_loops(const server_options& server, listener_set& listening, std::stop_token stopping)
      : options(server),
        listeners(listening),
        stop(std::move(stopping)),
        drain(stop, server.drain_timeout),
        connections(server.max_connections),
        offload(server.offload_threads) {}

  const server_options& options;
  listener_set& listeners;
  const std::stop_token stop;
  const drain_clock drain;
  connection_count connections;
  offload_pool offload;
  server_totals* totals = nullptr;  // where its only loop counts; nullptr: each loop in itself
};

// Starts thread `number`, counted from 1, of `of`; throws std::system_error that names it if the system gives
// too few.
template <class Run>
std::jthread start_thread(unsigned number, unsigned of, Run run) {
  try {
    return std::jthread(std::move(run));
  } catch (const std::system_error& error) {
    throw std::system_error(error.code(), "cannot start thread " + std::to_string(number) + " of " +
                                              std::to_string(of) + " (ulimit -u, -v)");
  }
}

// Calls run(i) for each i below n, on a thread each, the first on this one, and returns when all have
// returned. Before that each thread calls prepare(i). None runs before all are prepared and ready() has
// returned: if the system gives too few threads, or prepare() or ready() throws, nothing ran.
template <class Run, class Prepare>
void run_on_threads(unsigned n, const on_ready& ready, Run run, Prepare prepare) {
  enum class signal : std::uint8_t { wait, go, give_up };
  std::atomic<signal> start{signal::wait};
  std::vector<std::future<void>> prepared;
  std::vector<std::jthread> others;
  const auto send = [&](signal what) {
    start = what;
    start.notify_all();
  };
  try {
    for (unsigned i = 1; i < n; ++i) {
      std::packaged_task<void()> preparation([&prepare, i] { prepare(i); });
      prepared.push_back(preparation.get_future());
      others.push_back(start_thread(i + 1, n, [&start, &run, i, first = std::move(preparation)]() mutable {
        first();
        start.wait(signal::wait);
        if (start == signal::go) run(i);
      }));
    }
    prepare(0);
    for (std::future<void>& other : prepared) other.get();
    ready();
  } catch (...) {
    send(signal::give_up);
    throw;
  }
  send(signal::go);
  run(0);
}
template <class Run>
void run_on_threads(unsigned n, const on_ready& ready, Run run) {
  run_on_threads(n, ready, std::move(run), [](unsigned) {});
}

// A server with a loop for each of its threads: the kernel divides connections among them. A Loop has a
// description and unavailable_reason(), as a server has (variant.hpp); Loop(shared, i) begins to accept from
// the listeners of loop i; run(), on the loop's thread or, if there is one_for_all_threads, on all and on
// further_threads, returns when the server has stopped and its last connection has ended. If it needs
// something that belongs to the thread, prepare() makes that before the server says that it listens.
template <class Loop>
class server_of_loops {
public:
  static constexpr description about = Loop::about;
  static constexpr clients holds = clients::any;
  static constexpr auto stops = stop_on_signal::by::handler;  // a wake_event wakes the loop
  static std::string_view unavailable_reason() { return Loop::unavailable_reason(); }

  explicit server_of_loops(const server_options& options)
      : options_(options), loops_(one_loop() ? 1 : options.threads), listeners_(options, loops_) {}

  const listener_set& listeners() const noexcept { return listeners_; }

  server_outcome run(const std::stop_token& stop, const on_ready& ready) {
    shared_by_loops shared(options_, listeners_, stop);
    std::deque<Loop> loops;
    for (unsigned i = 0; i < loops_; ++i) loops.emplace_back(shared, i);
    {
      const stop_on_signal::allowed while_they_run;
      run_on_threads(
          options_.threads + further_threads(), ready, [&](unsigned i) { loops[i % loops_].run(); },
          [&](unsigned i) {
            if constexpr (requires { loops.front().prepare(); }) loops[i % loops_].prepare();
          });
    }
    shared.offload.finish();  // before the loops that it hands connections back to
    server_outcome outcome;
    for (Loop& loop : loops) {
      const server_totals totals = loop.totals();
      outcome.totals += totals;
      outcome.requests_of_loops.push_back(totals.requests);
    }
    shared.offload.add_to(outcome.totals);
    return outcome;
  }

private:
  static constexpr unsigned further_threads() {
    if constexpr (requires { Loop::further_threads; }) return Loop::further_threads;
    return 0;
  }
  static constexpr bool one_loop() {
    if constexpr (requires { Loop::one_for_all_threads; }) return Loop::one_for_all_threads;
    return false;
  }

  server_options options_;
  unsigned loops_;
  listener_set listeners_;
};

}  // namespace echobench
