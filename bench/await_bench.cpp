// One after another, three waits take their sum: do they take only as long as the longest when they run at
// once, and what does gathering them cost? One iteration is all three. BM_Await_Ready: there is nothing to
// wait for, so that only the cost of gathering is left.
//
// over_ideal_ns is what the waits took in addition to the 300 us of the longest, or the 600 us of all. Most
// of it is due to the timer: Asio's is a timerfd, which expires when it is due, while a thread's sleep, and
// the timed wait in which the scheduler of fibers idles, may be late by the thread's timer slack, 50 us
// (prctl(2), PR_SET_TIMERSLACK).
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"
#include "common/socket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/post.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

namespace echobench::bench {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr std::array<std::chrono::microseconds, 3> waits{100us, 200us, 300us};
constexpr std::chrono::nanoseconds sum = 600us;
constexpr std::chrono::nanoseconds longest = 300us;

// Every wait has a result, so that a lost one is noticed.
constexpr int result_of(std::size_t which) { return static_cast<int>(which) + 1; }

void check_results(benchmark::State& state, std::int64_t results) {
  check(state, results == 6 * state.iterations(), "a result was lost");
}

// Starts when constructed, before the loop; report() is called after it.
class stopwatch {
public:
  void report(benchmark::State& state, std::chrono::nanoseconds ideal) const {
    const std::chrono::nanoseconds elapsed = clock::now() - began_;
    const auto over = elapsed - ideal * state.iterations();
    state.counters["over_ideal_ns"] =
        static_cast<double>(over.count()) / static_cast<double>(state.iterations());
    check(state, over >= 0ns, "a wait was cut short");
  }

private:
  clock::time_point began_ = clock::now();
};

// ---- the floor: three calls, or one wait in the kernel ----

ECHOBENCH_OPAQUE int callee(std::size_t which) { return result_of(which); }

void BM_Await_Null(benchmark::State& state) {
  std::int64_t results = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i < waits.size(); ++i) results += callee(i);
  }
  check_results(state, results);
}

void BM_Await_NullWait(benchmark::State& state) {
  const std::chrono::nanoseconds ideal = std::chrono::microseconds(state.range(0));
  const unique_fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  const itimerspec once{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = ideal.count()}};
  std::uint64_t expirations = 0;
  const stopwatch watch;
  for (auto _ : state) {
    std::uint64_t expired = 0;
    ::timerfd_settime(timer.get(), 0, &once, nullptr);
    if (::read(timer.get(), &expired, sizeof expired) == sizeof expired) expirations += expired;
  }
  watch.report(state, ideal);
  check(state, expirations == static_cast<std::uint64_t>(state.iterations()), "the timer did not expire");
}

// ---- Asio: the same three operations, one after another and gathered in two ways ----

class timers {
public:
  static constexpr bool ready = false;

  asio::io_context& loop() { return loop_; }

  template <class Token>
  auto operation(std::size_t which, Token&& token) {
    const auto initiate = [this](auto handler, std::size_t i) {
      timers_[i].expires_after(waits[i]);
      timers_[i].async_wait([handler = std::move(handler), i](boost::system::error_code error) mutable {
        std::move(handler)(error, result_of(i));
      });
    };
    return asio::async_initiate<Token, void(boost::system::error_code, int)>(initiate, token, which);
  }

private:
  asio::io_context loop_{1};
  std::array<asio_timer, 3> timers_{asio_timer(loop_), asio_timer(loop_), asio_timer(loop_)};
};

class posts {
public:
  static constexpr bool ready = true;

  asio::io_context& loop() { return loop_; }

  template <class Token>
  auto operation(std::size_t which, Token&& token) {
    const auto initiate = [this](auto handler, std::size_t i) {
      asio::post(loop_, [handler = std::move(handler), i]() mutable {
        std::move(handler)(boost::system::error_code(), result_of(i));
      });
    };
    return asio::async_initiate<Token, void(boost::system::error_code, int)>(initiate, token, which);
  }

private:
  asio::io_context loop_{1};
};

template <class Operations, class Coroutine>
void run(benchmark::State& state, Operations& operations, Coroutine coroutine,
         std::chrono::nanoseconds ideal) {
  std::int64_t results = 0;
  const stopwatch watch;
  asio::co_spawn(operations.loop(), coroutine(results), asio::detached);
  operations.loop().run();
  if (!Operations::ready) watch.report(state, ideal);
  check_results(state, results);
}

template <class Operations>
void sequential(benchmark::State& state) {
  Operations operations;
  const auto one_by_one = [&](std::int64_t& results) -> awaitable {
    for (auto _ : state) {
      for (std::size_t i = 0; i < waits.size(); ++i) {
        results += co_await operations.operation(i, asio::deferred);
      }
    }
  };
  run(state, operations, one_by_one, sum);
}

template <class Operations>
awaitable_of<int> awaited(Operations& operations, std::size_t which) {
  co_return co_await operations.operation(which, asio::deferred);
}

// Each && starts two coroutines and gathers them, so the first two operations are gathered twice.
template <class Operations>
void operators(benchmark::State& state) {
  using namespace asio::experimental::awaitable_operators;
  Operations operations;
  const auto all = [&](std::int64_t& results) -> awaitable {
    for (auto _ : state) {
      const auto [first, second, third] =
          co_await (awaited(operations, 0) && awaited(operations, 1) && awaited(operations, 2));
      results += first + second + third;
    }
  };
  run(state, operations, all, longest);
}

template <class Operations>
void parallel_group(benchmark::State& state) {
  Operations operations;
  const auto all = [&](std::int64_t& results) -> awaitable {
    for (auto _ : state) {
      const auto [order, error1, first, error2, second, error3, third] =
          co_await asio::experimental::make_parallel_group(operations.operation(0, asio::deferred),
                                                           operations.operation(1, asio::deferred),
                                                           operations.operation(2, asio::deferred))
              .async_wait(asio::experimental::wait_for_all(), asio::deferred);
      if (!error1 && !error2 && !error3) results += first + second + third;
    }
  };
  run(state, operations, all, longest);
}

// ---- threads and fibers: for each wait one is started and joined; the longest is started last ----

struct sleeping_threads {
  static constexpr bool ready = false;
  using task = std::thread;
  static void wait(std::size_t which) { std::this_thread::sleep_for(waits[which]); }
};

struct sleeping_fibers {
  static constexpr bool ready = false;
  using task = boost::fibers::fiber;
  static void wait(std::size_t which) { boost::this_fiber::sleep_for(waits[which]); }
};

// As with post(): ready, behind all others that are ready.
struct ready_fibers {
  static constexpr bool ready = true;
  using task = boost::fibers::fiber;
  static void wait(std::size_t) { boost::this_fiber::yield(); }
};

template <class Model>
class joined_tasks {
public:
  typename Model::task start(std::size_t which) {
    return typename Model::task([this, which] {
      Model::wait(which);
      results_[which] += result_of(which);
    });
  }
  std::int64_t results() const { return results_[0] + results_[1] + results_[2]; }

private:
  std::array<std::int64_t, 3> results_{};
};

template <class Model>
void joined_in_turn(benchmark::State& state) {
  joined_tasks<Model> tasks;
  const stopwatch watch;
  for (auto _ : state) {
    for (std::size_t i = 0; i < waits.size(); ++i) tasks.start(i).join();
  }
  if (!Model::ready) watch.report(state, sum);
  check_results(state, tasks.results());
}

template <class Model>
void joined_at_once(benchmark::State& state) {
  joined_tasks<Model> tasks;
  const stopwatch watch;
  for (auto _ : state) {
    std::array started{tasks.start(0), tasks.start(1), tasks.start(2)};
    for (auto& task : started) task.join();
  }
  if (!Model::ready) watch.report(state, longest);
  check_results(state, tasks.results());
}

BENCHMARK(BM_Await_Null);
BENCHMARK(BM_Await_NullWait)->ArgName("wait_us")->Arg(300)->Arg(600)->Apply(threaded);
BENCHMARK(joined_in_turn<sleeping_threads>)->Name("BM_Await_ThreadSequential")->Apply(threaded);
BENCHMARK(joined_at_once<sleeping_threads>)->Name("BM_Await_ThreadAtOnce")->Apply(threaded);
BENCHMARK(sequential<timers>)->Name("BM_Await_TimerSequential")->Apply(threaded);
BENCHMARK(operators<timers>)->Name("BM_Await_TimerOperators")->Apply(threaded);
BENCHMARK(parallel_group<timers>)->Name("BM_Await_TimerParallelGroup")->Apply(threaded);
BENCHMARK(joined_in_turn<sleeping_fibers>)->Name("BM_Await_FiberSequential")->Apply(threaded);
BENCHMARK(joined_at_once<sleeping_fibers>)->Name("BM_Await_FiberAtOnce")->Apply(threaded);
BENCHMARK(sequential<posts>)->Name("BM_Await_ReadySequential");
BENCHMARK(operators<posts>)->Name("BM_Await_ReadyOperators");
BENCHMARK(parallel_group<posts>)->Name("BM_Await_ReadyParallelGroup");
BENCHMARK(joined_in_turn<ready_fibers>)->Name("BM_Await_ReadyFiberSequential");
BENCHMARK(joined_at_once<ready_fibers>)->Name("BM_Await_ReadyFiberAtOnce");

}  // namespace
}  // namespace echobench::bench
