// What does it cost to protect a counter? In BM_Lock, one iteration takes and releases a lock that is free.
// In BM_LockContended it is one critical section of several tasks that do nothing else: they start together,
// and each has the same number of critical sections. `jain` shows how evenly tasks that go on would share the
// lock (see jain()).
#include "bench/asio_loop.hpp"
#include "bench/in_step.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <shared_mutex>
#include <utility>

namespace echobench::bench {
namespace {

// ---- what is protected, and how it is checked ----

// volatile: in memory, as it is between threads.
class counter {
public:
  void add() { count_ = count_ + 1; }

  // A critical section with some nanoseconds of work, whose result shows whether two ever overlapped.
  void work() {
    std::uint64_t mixed = mixed_;
    for (int i = 0; i < 4; ++i) mixed = mixed * 6364136223846793005U + 1442695040888963407U;
    mixed_ = mixed;
    add();
  }

  std::uint64_t count() const { return count_; }

  void check_answers(benchmark::State& state) const {
    check(state, count_ == static_cast<std::uint64_t>(state.iterations()), "increments were lost");
    counter alone;
    if (mixed_ != 0) {
      while (alone.count_ < count_) alone.work();
    }
    check(state, mixed_ == alone.mixed_, "critical sections overlapped");
  }

private:
  volatile std::uint64_t count_ = 0;
  volatile std::uint64_t mixed_ = 0;
};

// Test and test-and-set. It checks 64 times, with pauses, whether the lock is free again; then the holder has
// perhaps lost its CPU, and this thread yields its own.
class spin_lock {
public:
  void lock() {
    while (held_.exchange(true, std::memory_order_acquire)) await_release();
  }
  void unlock() { held_.store(false, std::memory_order_release); }

private:
  void await_release() const {
    for (int looks = 1; held_.load(std::memory_order_relaxed); ++looks) {
      if (looks % 64 == 0) {
        std::this_thread::yield();
      } else {
        pause();
      }
    }
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  std::atomic<bool> held_{false};
};

// For the coroutines of one loop, first come, first served: unlock() hands the lock to the next in line,
// which the loop resumes. Without a line there is no trip through the loop.
class coroutine_mutex {
public:
  explicit coroutine_mutex(asio::io_context& loop) : turn_(loop.get_executor(), 0) {}
  awaitable lock() {
    if (std::exchange(held_, true)) co_await turn_.async_receive(asio::deferred);
  }
  void unlock() { held_ = turn_.try_send(error_code()); }  // held by the receiver, if there is one

private:
  bool held_ = false;
  asio::experimental::channel<executor, void(error_code)> turn_;  // without room: a line of receivers
};

// ---- a lock that is free ----

// The floor.
struct no_lock {
  void lock() {}
  void unlock() {}
};

// With a single task, even a shared lock may increment.
template <class Guard>
void uncontended(benchmark::State& state) {
  typename Guard::mutex_type lock;
  counter counted;
  for (auto _ : state) {
    const Guard held(lock);
    counted.add();
  }
  counted.check_answers(state);
}

// The other floor, if there is nothing but a counter to protect.
void BM_Lock_AtomicAdd(benchmark::State& state) {
  std::atomic<std::uint64_t> count{0};
  for (auto _ : state) count.fetch_add(1, std::memory_order_relaxed);
  check(state, count == static_cast<std::uint64_t>(state.iterations()), "increments were lost");
}

using strand = asio::strand<executor>;

// From its loop, dispatch() enters a free strand at once.
void BM_Lock_AsioStrandDispatch(benchmark::State& state) {
  asio::io_context loop(1);
  const strand alone(loop.get_executor());
  counter counted;
  asio::post(loop, [&] {
    for (auto _ : state) asio::dispatch(alone, [&] { counted.add(); });
  });
  loop.run();
  counted.check_answers(state);
}

// post() always goes through the queues of the strand and of its loop.
struct posted {
  benchmark::State& state;
  const strand& alone;
  counter& counted;
  void operator()() const {
    if (!state.KeepRunning()) return;
    counted.add();
    asio::post(alone, *this);
  }
};

void BM_Lock_AsioStrandPost(benchmark::State& state) {
  asio::io_context loop(1);
  const strand alone(loop.get_executor());
  counter counted;
  asio::post(alone, posted{state, alone, counted});
  loop.run();
  counted.check_answers(state);
}

void BM_Lock_CoroutineMutex(benchmark::State& state) {
  asio::io_context loop(1);
  coroutine_mutex lock(loop);
  counter counted;
  const auto run = [&]() -> awaitable {
    for (auto _ : state) {
      co_await lock.lock();
      counted.add();
      lock.unlock();
    }
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  counted.check_answers(state);
}

// A channel with room for one: the task that has put something in holds the lock. A send goes through the
// loop, even if there is room.
void BM_Lock_AsioChannel(benchmark::State& state) {
  asio::io_context loop(1);
  asio::experimental::channel<executor, void(error_code)> lock(loop.get_executor(), 1);
  counter counted;
  const auto run = [&]() -> awaitable {
    for (auto _ : state) {
      co_await lock.async_send(error_code(), asio::deferred);
      counted.add();
      lock.try_receive([](error_code) {});
    }
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  counted.check_answers(state);
}

// ---- a lock that several tasks want ----

// Critical sections of one batch, a multiple of every number of tasks. Threads have more of them: so many
// that the time to wake 64 threads does not count.
constexpr std::size_t thread_batch = 1 << 17;
constexpr std::size_t loop_batch = 1 << 14;

std::size_t tasks_of(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

// A task ends after its part of a batch.
auto part(std::size_t batch, std::size_t tasks) {
  return [enough = batch / tasks](std::uint64_t done) { return done < enough; };
}

// Jain's index over the critical sections that the tasks got while all wanted them: 1 if all got the same
// number, 1 / tasks if one got all. It is not part of the timing. Threads contend for a fixed time, long
// enough for the kernel to let every thread run several times. On one loop, it ends when all tasks together
// have had 1,000 per task.
double jain(const std::vector<std::uint64_t>& got) {
  double sum = 0;
  double squares = 0;
  for (const auto sections : got) {
    sum += static_cast<double>(sections);
    squares += static_cast<double>(sections) * static_cast<double>(sections);
  }
  return sum * sum / (static_cast<double>(got.size()) * squares);
}

// The floor: the critical section, without a lock, in one thread.
void BM_LockContended_Null(benchmark::State& state) {
  counter counted;
  for (auto _ : state) counted.work();
  counted.check_answers(state);
}

template <class Lock>
struct alignas(64) guarded {
  Lock lock;
  counter value;
};

template <auto Inside = [] {}, class Lock, class More>
std::uint64_t contend(guarded<Lock>& shared, const More& more) {
  std::uint64_t done = 0;
  for (; more(done); ++done) {
    const std::lock_guard held(shared.lock);
    shared.value.work();
    Inside();
  }
  return done;
}

// The tasks are threads, half of them at home.
seats half_at_home(std::size_t tasks) { return {tasks - tasks / 2, tasks / 2}; }

template <class Lock>
double fairness_to_threads(std::size_t tasks) {
  using namespace std::chrono_literals;
  guarded<Lock> shared;
  std::vector<std::uint64_t> got(tasks);
  std::atomic<bool> over{false};
  std::latch together(static_cast<std::ptrdiff_t>(tasks + 1));
  auto threads = start_threads(half_at_home(tasks), [&](std::size_t index) {
    together.arrive_and_wait();
    got[index] = contend(shared, [&](std::uint64_t) { return !over.load(std::memory_order_relaxed); });
  });
  together.arrive_and_wait();
  std::this_thread::sleep_for(std::max<std::chrono::milliseconds>(40ms, tasks * 5ms));
  over = true;
  threads.clear();
  return jain(got);
}

template <class Lock>
void threads(benchmark::State& state) {
  const std::size_t tasks = tasks_of(state);
  guarded<Lock> shared;
  threads_in_step(state, thread_batch, half_at_home(tasks),
                  [&](std::size_t) { contend(shared, part(thread_batch, tasks)); });
  shared.value.check_answers(state);
  state.counters["jain"] = fairness_to_threads<Lock>(tasks);
}

// The tasks are handlers of a loop that two threads run. A task enters the strand, leaves it, and comes back
// through the loop: one iteration is two trips through a queue.
struct strand_task {
  asio::io_context& loop;
  const strand& alone;
  counter& counted;
  std::size_t left = 0;

  void enter() {
    asio::dispatch(alone, [this] {
      counted.work();
      if (--left != 0) asio::post(loop, [this] { enter(); });
    });
  }
};

void BM_LockContended_AsioStrand(benchmark::State& state) {
  asio::io_context loop(2);
  const strand alone(loop.get_executor());
  counter counted;
  std::vector<strand_task> tasks(tasks_of(state), {loop, alone, counted});
  const auto share = [&](std::size_t) { loop.run(); };
  const auto prepare = [&] {
    loop.restart();
    for (strand_task& task : tasks) {
      task.left = loop_batch / tasks.size();
      asio::post(loop, [&task] { task.enter(); });
    }
  };
  threads_in_step(state, loop_batch, {1, 1}, share, prepare);
  counted.check_answers(state);
}

// The tasks are coroutines of one loop, or fibers of one thread: a task that holds the lock gives up control
// once, otherwise none would ever find it taken.
struct on_loop {
  asio::io_context loop{1};
  coroutine_mutex lock{loop};
  counter value;
};

template <class More>
awaitable contend(on_loop& shared, std::uint64_t& done, More more) {
  for (; more(done); ++done) {
    co_await shared.lock.lock();
    shared.value.work();
    co_await asio::post(shared.loop, asio::deferred);
    shared.lock.unlock();
  }
}

template <class More>
std::vector<std::uint64_t> contend_on_loop(on_loop& shared, std::size_t tasks, const More& more) {
  std::vector<std::uint64_t> got(tasks);
  for (std::uint64_t& done : got) asio::co_spawn(shared.loop, contend(shared, done, more), asio::detached);
  shared.loop.run();
  shared.loop.restart();
  return got;
}

// Until all tasks together have had 1,000 critical sections per task.
auto fewer_than_1000_per_task(const counter& counted, std::size_t tasks) {
  return [&counted, enough = tasks * 1000](std::uint64_t) { return counted.count() < enough; };
}

void BM_LockContended_CoroutineMutex(benchmark::State& state) {
  const std::size_t tasks = tasks_of(state);
  on_loop shared;
  while (state.KeepRunningBatch(loop_batch)) contend_on_loop(shared, tasks, part(loop_batch, tasks));
  shared.value.check_answers(state);
  on_loop other;
  state.counters["jain"] = jain(contend_on_loop(other, tasks, fewer_than_1000_per_task(other.value, tasks)));
}

// unlock() of Boost.Fiber's mutex wakes the next in line, but does not hand the lock over: before that fiber
// runs, the first one has taken the lock again.
double fairness_to_fibers(std::size_t tasks) {
  guarded<boost::fibers::mutex> shared;
  std::vector<std::uint64_t> got(tasks);
  std::vector<boost::fibers::fiber> fibers;
  fibers.reserve(tasks);
  for (std::uint64_t& done : got)
    fibers.emplace_back([&] {
      done = contend<boost::this_fiber::yield>(shared, fewer_than_1000_per_task(shared.value, tasks));
    });
  for (auto& fiber : fibers) fiber.join();
  return jain(got);
}

void BM_LockContended_FiberMutex(benchmark::State& state) {
  const std::size_t tasks = tasks_of(state);
  guarded<boost::fibers::mutex> shared;
  fibers_in_step(state, loop_batch, tasks,
                 [&](std::size_t) { contend<boost::this_fiber::yield>(shared, part(loop_batch, tasks)); });
  shared.value.check_answers(state);
  state.counters["jain"] = fairness_to_fibers(tasks);
}

void tasks(benchmark::internal::Benchmark* row) { row->ArgName("tasks")->Arg(2)->Arg(8)->Arg(64); }

BENCHMARK(uncontended<std::lock_guard<no_lock>>)->Name("BM_Lock_Null");
BENCHMARK(BM_Lock_AtomicAdd);
BENCHMARK(uncontended<std::lock_guard<std::mutex>>)->Name("BM_Lock_Mutex");
BENCHMARK(uncontended<std::lock_guard<spin_lock>>)->Name("BM_Lock_Spin");
BENCHMARK(uncontended<std::shared_lock<std::shared_mutex>>)->Name("BM_Lock_SharedMutexShared");
BENCHMARK(uncontended<std::lock_guard<std::shared_mutex>>)->Name("BM_Lock_SharedMutexExclusive");
BENCHMARK(BM_Lock_AsioStrandDispatch);
BENCHMARK(BM_Lock_AsioStrandPost);
BENCHMARK(BM_Lock_CoroutineMutex);
BENCHMARK(BM_Lock_AsioChannel);
BENCHMARK(uncontended<std::lock_guard<boost::fibers::mutex>>)->Name("BM_Lock_FiberMutex");

BENCHMARK(BM_LockContended_Null);
BENCHMARK(threads<std::mutex>)->Name("BM_LockContended_Mutex")->Apply(tasks)->Apply(threaded);
BENCHMARK(threads<spin_lock>)->Name("BM_LockContended_Spin")->Apply(tasks)->Apply(threaded);
BENCHMARK(threads<std::shared_mutex>)
    ->Name("BM_LockContended_SharedMutexExclusive")
    ->Apply(tasks)
    ->Apply(threaded);
BENCHMARK(BM_LockContended_AsioStrand)->Apply(tasks)->Apply(threaded);
BENCHMARK(BM_LockContended_CoroutineMutex)->Apply(tasks);
BENCHMARK(BM_LockContended_FiberMutex)->Apply(tasks);

}  // namespace
}  // namespace echobench::bench
