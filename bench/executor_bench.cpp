// When does handing a computation to another thread pay? A loop serves 64 clients; each request takes 5 us of
// the loop's CPU time, and a computation of cost_us: on the loop, or handed to a pool that returns the answer
// to the loop. One iteration is one request.
//
// The pool's threads have the other CPUs (`cpus:2`) or share the loop's (`cpus:1`). `loop_cpu_ns` is the CPU
// time that the loop's thread spends on a request: for how long a request blocks all others.
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"
#include "servers/session/burn.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/future.hpp>

#include <atomic>
#include <barrier>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

namespace echobench::bench {
namespace {

using namespace std::chrono_literals;

void burn(std::chrono::nanoseconds duration) {
  if (duration > 0ns) burn_cpu(duration, [] { return false; });
}

// What is computed: it takes `cost` of the calling thread's CPU time, and its answer can be checked.
std::uint64_t compute(std::uint64_t question, std::chrono::nanoseconds cost) {
  burn(cost);
  return question + 1;
}

// ---- three ways to have it computed, as an awaitable operation ----

struct on_the_loop {
  explicit on_the_loop(const benchmark::State&) {}
  awaitable_of<std::uint64_t> operator()(std::uint64_t question, std::chrono::nanoseconds cost) {
    co_return compute(question, cost);
  }
};

// Threads on the other CPUs, or on the loop's.
class pool {
public:
  pool(std::int64_t threads, std::int64_t cpus) {
    const starting_on there(cpus == 1 ? home() : others());
    threads_.emplace(static_cast<std::size_t>(threads));
  }
  ~pool() { threads_->join(); }
  pool(const pool&) = delete;
  pool& operator=(const pool&) = delete;
  auto get_executor() { return threads_->get_executor(); }

private:
  std::optional<asio::thread_pool> threads_;
};

// Posts the computation to the pool, and the answer to the loop.
class by_post {
public:
  explicit by_post(const benchmark::State& state) : pool_(state.range(1), state.range(2)) {}
  auto operator()(std::uint64_t question, std::chrono::nanoseconds cost) {
    return asio::async_initiate<const asio::deferred_t, void(std::uint64_t)>(
        [this, question, cost](auto handler) {
          auto loop =
              asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
          asio::post(pool_.get_executor(),
                     [question, cost, handler = std::move(handler), loop = std::move(loop)]() mutable {
                       const std::uint64_t answer = compute(question, cost);
                       asio::post(loop, [handler = std::move(handler), answer]() mutable {
                         std::move(handler)(answer);
                       });
                     });
        },
        asio::deferred);
  }

private:
  pool pool_;
};

// Starts a coroutine on the pool and awaits its end.
class by_co_spawn {
public:
  explicit by_co_spawn(const benchmark::State& state) : pool_(state.range(1), state.range(2)) {}
  awaitable_of<std::uint64_t> operator()(std::uint64_t question, std::chrono::nanoseconds cost) {
    co_return co_await asio::co_spawn(pool_.get_executor(), on_the_pool(question, cost),
                                      asio::use_awaitable_t<executor>());
  }

private:
  static asio::awaitable<std::uint64_t, asio::thread_pool::executor_type> on_the_pool(
      std::uint64_t question, std::chrono::nanoseconds cost) {
    co_return compute(question, cost);
  }
  pool pool_;
};

// ---- a loop with clients; a batch is timed as a whole, so that nothing is in flight when the clock stops
// ----

constexpr unsigned batch = 256;  // requests

struct load {
  unsigned clients;                // at once
  std::chrono::nanoseconds share;  // of the loop, for each request
};
constexpr load many_clients{.clients = 64, .share = 5us};  // what an epoll loop spends on a small request
constexpr load one_client{.clients = 1, .share = 0us};

template <class Compute>
awaitable serve(Compute& compute_there, std::chrono::nanoseconds cost, const load& asked,
                std::uint64_t& right) {
  for (unsigned question = 0; question < batch / asked.clients; ++question) {
    burn(asked.share);
    if (co_await compute_there(question, cost) == question + 1) ++right;
    co_await asio::post(co_await asio::this_coro::executor, asio::deferred);  // the others come first
  }
}

// `serve_batch` returns how many answers of a batch were right. Runs on the loop's thread.
template <class ServeBatch>
void time_batches(benchmark::State& state, ServeBatch serve_batch) {
  std::uint64_t right = 0;
  const auto before = thread_cpu_time();
  while (state.KeepRunningBatch(batch)) right += serve_batch();
  const auto spent = thread_cpu_time() - before;
  const auto requests = static_cast<std::uint64_t>(state.iterations());
  check(state, right == requests, "an answer was lost or wrong");
  state.counters["loop_cpu_ns"] = static_cast<double>(spent.count()) / static_cast<double>(requests);
}

template <class Compute, const load& Load = many_clients>
void loop_of_clients(benchmark::State& state) {
  asio::io_context loop(1);
  Compute compute_there(state);
  const std::chrono::microseconds cost(state.range(0));
  time_batches(state, [&] {
    std::uint64_t right = 0;
    for (unsigned i = 0; i < Load.clients; ++i) {
      asio::co_spawn(loop, serve(compute_there, cost, Load, right), asio::detached);
    }
    loop.restart();
    loop.run();
    return right;
  });
}

// ---- a fiber for each client: it awaits a future that a thread of the pool fulfils ----

void BM_Executor_Fiber(benchmark::State& state) {
  pool threads(state.range(1), state.range(2));
  const std::chrono::microseconds cost(state.range(0));
  time_batches(state, [&] {
    std::uint64_t right = 0;
    const auto serve_one = [&] {
      for (unsigned question = 0; question < batch / many_clients.clients; ++question) {
        burn(many_clients.share);
        boost::fibers::promise<std::uint64_t> promise;
        auto answer = promise.get_future();
        asio::post(threads.get_executor(), [cost, question, promise = std::move(promise)]() mutable {
          promise.set_value(compute(question, cost));
        });
        if (answer.get() == question + 1) ++right;
      }
    };
    std::vector<boost::fibers::fiber> fibers;
    fibers.reserve(many_clients.clients);
    for (unsigned i = 0; i < many_clients.clients; ++i) fibers.emplace_back(serve_one);
    for (auto& fiber : fibers) fiber.join();
    return right;
  });
}

// ---- a thread for each client: it computes itself, and the system assigns the CPUs ----

void BM_Executor_Threads(benchmark::State& state) {
  const std::chrono::microseconds cost(state.range(0));
  std::atomic<std::uint64_t> right{0};
  bool over = false;  // written between two phases of the barrier
  std::barrier<> phase(many_clients.clients + 1);
  const auto serve_batches = [&] {
    const auto goes_on = [&] {
      phase.arrive_and_wait();
      return !over;
    };
    while (goes_on()) {
      for (unsigned question = 0; question < batch / many_clients.clients; ++question) {
        burn(many_clients.share);
        if (compute(question, cost) == question + 1) right.fetch_add(1, std::memory_order_relaxed);
      }
      phase.arrive_and_wait();
    }
  };
  std::vector<std::jthread> threads;
  threads.reserve(many_clients.clients);
  {
    const starting_on there(state.range(1) == 1 ? home() : all_cpus());
    for (unsigned i = 0; i < many_clients.clients; ++i) threads.emplace_back(serve_batches);
  }
  while (state.KeepRunningBatch(batch)) {
    phase.arrive_and_wait();
    phase.arrive_and_wait();
  }
  over = true;
  phase.arrive_and_wait();
  threads.clear();
  check(state, right == static_cast<std::uint64_t>(state.iterations()), "an answer was lost or wrong");
}

// Costs around the point from which on handing over pays, if there is another CPU; then the effect of more
// threads, or of threads that share the loop's CPU, on a long computation.
void costs_and_pools(benchmark::internal::Benchmark* row) {
  row->ArgNames({"cost_us", "threads", "cpus"});
  const std::int64_t apart = all_cpus().size() > 1 ? 2 : 1;
  for (const int cost : {0, 3, 10, 30, 100}) row->Args({cost, 1, apart});
  for (const int threads : {2, 4}) row->Args({100, threads, apart});
  if (apart > 1) row->Args({100, 1, 1});
  threaded(row);
}

void near_and_far(benchmark::internal::Benchmark* row) {
  row->ArgNames({"cost_us", "threads", "cpus"})->Args({0, 1, 1});
  if (all_cpus().size() > 1) row->Args({0, 1, 2});
  threaded(row);
}

// The floor, at each cost: below a ratio of 1, handing over pays.
BENCHMARK(loop_of_clients<on_the_loop>)
    ->Name("BM_Executor_Null")
    ->ArgName("cost_us")
    ->Arg(0)
    ->Arg(3)
    ->Arg(10)
    ->Arg(30)
    ->Arg(100)
    ->Apply(threaded);
BENCHMARK(loop_of_clients<by_post>)->Name("BM_Executor_AsioPost")->Apply(costs_and_pools);
BENCHMARK(loop_of_clients<by_co_spawn>)->Name("BM_Executor_AsioCoSpawn")->Apply(costs_and_pools);
BENCHMARK(BM_Executor_Fiber)->Apply(costs_and_pools);
BENCHMARK(BM_Executor_Threads)
    ->ArgNames({"cost_us", "cpus"})
    ->ArgsProduct({{0, 10, 100}, {1, 2}})
    ->Apply(threaded);
BENCHMARK(loop_of_clients<by_post, one_client>)->Name("BM_Executor_RoundTripAsioPost")->Apply(near_and_far);
BENCHMARK(loop_of_clients<by_co_spawn, one_client>)
    ->Name("BM_Executor_RoundTripAsioCoSpawn")
    ->Apply(near_and_far);

}  // namespace
}  // namespace echobench::bench
