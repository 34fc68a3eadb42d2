// What does it cost to start a task that does next to nothing, and to learn that it has finished? One
// iteration is one task; the next is started when it has finished. BM_SpawnMemory: how much memory does a
// waiting task hold? One iteration is one of 10,000 tasks that are started, all wait at once, and finish.
#define BOOST_ASIO_DISABLE_BOOST_COROUTINE  // asio::spawn() needs Boost.Context alone
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>
#include <boost/thread/thread_only.hpp>
#include <malloc.h>

#include <chrono>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace echobench::bench {
namespace {

using yield_context = asio::basic_yield_context<executor>;

// What every task does. Calling it is the floor: a call that the compiler cannot see through.
ECHOBENCH_OPAQUE void task(std::uint64_t& ran) { ++ran; }

void check_all_ran(benchmark::State& state, std::uint64_t ran) {
  check(state, ran == static_cast<std::uint64_t>(state.iterations()), "a task was lost, or ran twice");
}

boost::context::fixedsize_stack stack_of(std::int64_t kib) {
  return boost::context::fixedsize_stack(static_cast<std::size_t>(kib) << 10);
}

void BM_Spawn_Null(benchmark::State& state) {
  std::uint64_t ran = 0;
  for (auto _ : state) task(ran);
  check_all_ran(state, ran);
}

// ---- threads; glibc keeps the stacks of ended threads for the next ones ----

void BM_Spawn_Thread(benchmark::State& state) {
  std::uint64_t ran = 0;
  for (auto _ : state) std::thread([&] { task(ran); }).join();
  check_all_ran(state, ran);
}

boost::thread::attributes stack_attribute(std::int64_t kib) {
  boost::thread::attributes attributes;
  attributes.set_stack_size(static_cast<std::size_t>(kib) << 10);
  return attributes;
}

void BM_Spawn_BoostThread(benchmark::State& state) {
  const boost::thread::attributes attributes = stack_attribute(state.range(0));
  std::uint64_t ran = 0;
  for (auto _ : state) boost::thread(attributes, [&] { task(ran); }).join();
  check_all_ran(state, ran);
}

// ---- a pool of one thread ----

asio::thread_pool pool_on(std::int64_t cpus) {
  const starting_on there(cpus == 1 ? home() : others());
  return asio::thread_pool(1);
}

class completion {
public:
  void report() {
    {
      const std::lock_guard lock(mutex_);
      reported_ = true;
    }
    changed_.notify_one();
  }
  void await() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return std::exchange(reported_, false); });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool reported_ = false;
};

// One task at a time: two handovers between threads, there and back.
void BM_Spawn_ThreadPool(benchmark::State& state) {
  completion finished;
  std::uint64_t ran = 0;
  asio::thread_pool pool = pool_on(state.range(0));
  for (auto _ : state) {
    asio::post(pool, [&] {
      task(ran);
      finished.report();
    });
    finished.await();
  }
  check_all_ran(state, ran);
}

// Many tasks before their submitter waits: all of them share the handovers.
void BM_Spawn_ThreadPoolBatch(benchmark::State& state) {
  constexpr std::int64_t batch = 1000;
  completion finished;
  std::uint64_t ran = 0;
  asio::thread_pool pool = pool_on(state.range(0));
  while (state.KeepRunningBatch(batch)) {
    for (std::int64_t i = 0; i < batch; ++i) asio::post(pool, [&] { task(ran); });
    asio::post(pool, [&] { finished.report(); });
    finished.await();
  }
  check_all_ran(state, ran);
}

// ---- tasks of a loop: handlers, coroutines without a stack and with one ----

// Runs in the loop as long as the benchmark runs: each time it starts a task, which posts this again at its
// end.
template <auto Start>
struct chain {
  benchmark::State& state;
  asio::io_context& loop;
  std::uint64_t& ran;
  void operator()() const {
    if (state.KeepRunning()) Start(*this);
  }
};

template <auto Start>
void chained(benchmark::State& state) {
  asio::io_context loop(1);
  std::uint64_t ran = 0;
  asio::post(loop, chain<Start>{state, loop, ran});
  loop.run();
  check_all_ran(state, ran);
}

constexpr auto handler = [](const auto& next) {
  task(next.ran);
  asio::post(next.loop, next);
};

// Not awaited: the yield_context of Boost 1.81 cannot wait for another spawn(). Posted at its end, because a
// task that has never waited calls its completion handler at once, on its own stack, and stacks would pile
// up. The stacks come from malloc() and have no guard page.
constexpr auto stackful_coroutine = [](const auto& next) {
  const auto run = [&ran = next.ran](const yield_context&) { task(ran); };
  const auto finished = [next](const std::exception_ptr&) { asio::post(next.loop, next); };
  asio::spawn(next.loop, std::allocator_arg, stack_of(next.state.range(0)), run, finished);
};

// The least that a coroutine can be: its frame is allocated, runs to its end, and is freed.
struct eager {
  struct promise_type {
    eager get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { std::terminate(); }
  };
};

ECHOBENCH_OPAQUE eager run_eagerly(std::uint64_t& ran) {
  task(ran);
  co_return;
}

void BM_Spawn_Coroutine(benchmark::State& state) {
  std::uint64_t ran = 0;
  for (auto _ : state) run_eagerly(ran);
  check_all_ran(state, ran);
}

// What co_spawn() adds to calling a coroutine (BM_Switch_AsioCoroutineCall): a separate chain of control,
// which can be cancelled, keeps the loop running, and ends through the loop's queue. Asio keeps the memory of
// ended frames for the next ones.
void BM_Spawn_AsioCoroutine(benchmark::State& state) {
  asio::io_context loop(1);
  std::uint64_t ran = 0;
  const auto child = [&]() -> awaitable {
    task(ran);
    co_return;
  };
  const auto run = [&]() -> awaitable {
    for (auto _ : state) co_await asio::co_spawn(loop, child(), asio::deferred);
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  check_all_ran(state, ran);
}

// ---- fibers ----

void BM_Spawn_Fiber(benchmark::State& state) {
  std::uint64_t ran = 0;
  boost::fibers::fiber run([&] {
    for (auto _ : state) {
      boost::fibers::fiber(std::allocator_arg, stack_of(state.range(0)), [&] { task(ran); }).join();
    }
  });
  run.join();
  check_all_ran(state, ran);
}

// ---- the memory of waiting tasks: the resident memory of the process, before they wait and while they do
// ----
//
// It does not contain page tables, nor what a thread has in the kernel: a stack of 16 KiB, and some 6 KB of
// descriptors. A waiting fiber has used two pages of its stack and not one, because Boost.Fiber's spinlock
// has room in its frame for a std::random_device, 5 KB, for its random back-off.

constexpr std::int64_t thread_stack_kib = 64;
constexpr std::int64_t stack_kib = 16;

struct progress {
  std::int64_t waiting = 0;
  std::uint64_t ran = 0;
};

// Returns memory that earlier tasks have left, and that would be used again without being counted: malloc's,
// and glibc's stacks of ended threads. A stack of 48 MiB, which is over the limit of 40 MiB, makes glibc free
// all of them.
void return_free_memory() {
  boost::thread(stack_attribute(48 << 10), [] {}).join();
  ::malloc_trim(0);
}

// start() returns when all tasks wait, finish() when all have finished.
template <class Start, class Finish>
void hold(benchmark::State& state, const progress& tasks, Start start, Finish finish) {
  return_free_memory();
  std::size_t before = 0;
  std::size_t held = 0;
  while (state.KeepRunningBatch(state.range(0))) {
    before = resident_bytes();
    start();
    held = resident_bytes();
    finish();
  }
  return_free_memory();
  const auto grown = static_cast<double>(held) - static_cast<double>(before);
  state.counters["bytes_per_task"] = grown / static_cast<double>(state.range(0));
  check(state, tasks.waiting == state.range(0), "a task did not wait");
  check_all_ran(state, tasks.ran);
}

void BM_SpawnMemory_Thread(benchmark::State& state) {
#ifdef __SANITIZE_THREAD__
  return unavailable(state, "ThreadSanitizer gives up at 8128 threads");
#endif
  const boost::thread::attributes attributes = stack_attribute(thread_stack_kib);
  std::latch arrived(state.range(0));
  std::mutex gate;
  progress tasks;
  std::vector<boost::thread> threads;
  const auto wait = [&] {
    arrived.count_down();
    const std::lock_guard lock(gate);
    task(tasks.ran);
  };
  const auto start = [&] {
    for (std::int64_t i = 0; i < state.range(0); ++i) threads.emplace_back(attributes, wait);
    arrived.wait();
    tasks.waiting = state.range(0);
  };
  const auto finish = [&] {
    gate.unlock();
    for (boost::thread& thread : threads) thread.join();
  };
  gate.lock();
  try {
    hold(state, tasks, start, finish);
  } catch (const boost::thread_resource_error& refused) {
    finish();
    unavailable(state, std::to_string(threads.size()) + " threads, then " + refused.what());
  }
}

// Both kinds of coroutine wait for one timer that never expires; cancelling it lets them go on.
template <auto Spawn>
void waiting_coroutines(benchmark::State& state) {
  asio::io_context loop(1);
  asio_timer never(loop, asio_timer::time_point::max());
  progress tasks;
  const auto start = [&] {
    for (std::int64_t i = 0; i < state.range(0); ++i) Spawn(loop, never, tasks);
    loop.poll();
  };
  const auto finish = [&] {
    never.cancel();
    loop.run();
  };
  hold(state, tasks, start, finish);
}

awaitable wait_for(asio_timer& never, progress& tasks) {
  ++tasks.waiting;
  co_await never.async_wait(asio::as_tuple(asio::deferred));
  task(tasks.ran);
}

constexpr auto stackless = [](asio::io_context& loop, asio_timer& never, progress& tasks) {
  asio::co_spawn(loop, wait_for(never, tasks), asio::detached);
};

constexpr auto stackful = [](asio::io_context& loop, asio_timer& never, progress& tasks) {
  const auto wait = [&](const yield_context& yield) {
    ++tasks.waiting;
    boost::system::error_code cancelled;
    never.async_wait(yield[cancelled]);
    task(tasks.ran);
  };
  asio::spawn(loop, std::allocator_arg, stack_of(stack_kib), wait, asio::detached);
};

void BM_SpawnMemory_Fiber(benchmark::State& state) {
  boost::fibers::mutex gate;
  progress tasks;
  std::vector<boost::fibers::fiber> fibers;
  const auto wait = [&] {
    ++tasks.waiting;
    const std::lock_guard lock(gate);
    task(tasks.ran);
  };
  const auto start = [&] {
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      fibers.emplace_back(std::allocator_arg, stack_of(stack_kib), wait);
    }
    boost::this_fiber::yield();  // returns when all ready fibers have run
  };
  const auto finish = [&] {
    gate.unlock();
    for (boost::fibers::fiber& fiber : fibers) fiber.join();
  };
  gate.lock();
  hold(state, tasks, start, finish);
}

void ten_thousand(benchmark::internal::Benchmark* row) {
  row->ArgName("tasks")->Arg(10'000)->Iterations(10'000);
}

BENCHMARK(BM_Spawn_Null);
BENCHMARK(BM_Spawn_Thread)->Apply(threaded);
BENCHMARK(BM_Spawn_BoostThread)->ArgName("stack_kib")->Arg(8192)->Arg(64)->Apply(threaded);
BENCHMARK(BM_Spawn_ThreadPool)->Apply(on_one_and_two_cpus);
BENCHMARK(BM_Spawn_ThreadPoolBatch)->Apply(on_one_and_two_cpus);
BENCHMARK(chained<handler>)->Name("BM_Spawn_AsioPost");
BENCHMARK(BM_Spawn_Coroutine);
BENCHMARK(BM_Spawn_AsioCoroutine);
BENCHMARK(chained<stackful_coroutine>)->Name("BM_Spawn_AsioStackful")->ArgName("stack_kib")->Arg(16);
BENCHMARK(BM_Spawn_Fiber)->ArgName("stack_kib")->Arg(128)->Arg(16);
BENCHMARK(BM_SpawnMemory_Thread)->Apply(ten_thousand)->Apply(threaded);
BENCHMARK(waiting_coroutines<stackless>)->Name("BM_SpawnMemory_AsioCoroutine")->Apply(ten_thousand);
BENCHMARK(waiting_coroutines<stackful>)->Name("BM_SpawnMemory_AsioStackful")->Apply(ten_thousand);
BENCHMARK(BM_SpawnMemory_Fiber)->Apply(ten_thousand);

}  // namespace
}  // namespace echobench::bench
