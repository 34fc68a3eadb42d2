// What do n permits cost? One iteration is one permit acquired and released: by a single task (free), handed
// to and fro between two tasks (Handover: one iteration is one handover), and by 64 tasks that contend for 4
// permits and let the others run while they have one (Crowd).
#include "bench/asio_loop.hpp"
#include "bench/in_step.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/fiber/condition_variable.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>
#include <semaphore.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <semaphore>
#include <thread>

namespace echobench::bench {
namespace {

constexpr int permits = 4;
constexpr std::int64_t tasks = 64;
constexpr std::int64_t turns = 100;  // of each task

// The floor: a number, without any waiting.
void BM_Semaphore_Null(benchmark::State& state) {
  std::int64_t free = permits;
  for (auto _ : state) {
    --free;
    benchmark::DoNotOptimize(free);
    ++free;
    benchmark::DoNotOptimize(free);
  }
  check(state, free == permits, "a permit was lost");
}

// A task must have a permit to be inside. Count is atomic if the tasks are threads.
template <class Count>
class room {
public:
  void enter() {
    if (++inside_ > permits) overcrowded_ = 1;
  }
  void leave() {
    --inside_;
    ++visits_;
  }
  void check_after(benchmark::State& state) const {
    check(state, overcrowded_ == 0, "more were inside than there are permits");
    check(state, inside_ == 0 && visits_ == state.iterations(), "a task did not have all its turns");
  }

private:
  Count inside_{0};
  Count visits_{0};
  Count overcrowded_{0};
};

template <class Semaphore>
void check_all_free(benchmark::State& state, Semaphore& semaphore) {
  int free = 0;
  while (free <= permits && semaphore.try_acquire()) ++free;
  check(state, free == permits, "a permit was lost, or made");
}

// ---- threads ----

using standard_semaphore = std::counting_semaphore<>;

class posix_semaphore {
public:
  explicit posix_semaphore(unsigned free) { ::sem_init(&semaphore_, 0, free); }
  posix_semaphore(const posix_semaphore&) = delete;
  posix_semaphore& operator=(const posix_semaphore&) = delete;
  ~posix_semaphore() { ::sem_destroy(&semaphore_); }
  void acquire() {
    while (::sem_wait(&semaphore_) != 0) continue;  // a signal
  }
  bool try_acquire() { return ::sem_trywait(&semaphore_) == 0; }
  void release() { ::sem_post(&semaphore_); }

private:
  sem_t semaphore_{};
};

// From a mutex and a condition variable, the standard library's or those of fibers. A task that is woken must
// look again: another may have taken the permit before it.
template <class Mutex, class Condition>
class monitor_semaphore {
public:
  explicit monitor_semaphore(int free) : free_(free) {}
  void acquire() {
    std::unique_lock lock(mutex_);
    released_.wait(lock, [this] { return free_ > 0; });
    --free_;
  }
  bool try_acquire() {
    const std::lock_guard lock(mutex_);
    if (free_ == 0) return false;
    --free_;
    return true;
  }
  void release() {
    {
      const std::lock_guard lock(mutex_);
      ++free_;
    }
    released_.notify_one();
  }

private:
  Mutex mutex_;
  Condition released_;
  int free_;
};
using condition_semaphore = monitor_semaphore<std::mutex, std::condition_variable>;

template <class Semaphore>
void alone(benchmark::State& state) {
  Semaphore semaphore(permits);
  for (auto _ : state) {
    semaphore.acquire();
    semaphore.release();
  }
  check_all_free(state, semaphore);
}

// One task asks with a permit, the other answers with another.
template <class Semaphore>
class handover {
public:
  void ask(benchmark::State& state) {
    while (state.KeepRunningBatch(2)) {
      there_.release();
      back_.acquire();
      ++asked_;
    }
    over_ = true;
    there_.release();
  }
  void answer() {
    for (there_.acquire(); !over_; there_.acquire()) {
      ++answered_;
      back_.release();
    }
  }
  void check_after(benchmark::State& state) const { check(state, asked_ == answered_, "a permit was lost"); }

private:
  Semaphore there_{0};
  Semaphore back_{0};
  std::uint64_t asked_ = 0;
  std::uint64_t answered_ = 0;
  std::atomic<bool> over_{false};
};

template <class Semaphore>
void thread_handover(benchmark::State& state) {
  handover<Semaphore> two;
  std::jthread partner([&] {
    place_partner(state.range(0));
    two.answer();
  });
  two.ask(state);
  partner.join();
  two.check_after(state);
}

// All the turns of one task, a thread or a fiber.
template <auto Yield>
void take_turns(auto& semaphore, auto& room) {
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    semaphore.acquire();
    room.enter();
    Yield();
    room.leave();
    semaphore.release();
  }
}

// There is no crowd of threads at std::counting_semaphore: if more than one waits, libstdc++'s may lose a
// wake-up (GCC bug 98033), and a benchmark must end.
template <class Semaphore>
void thread_crowd(benchmark::State& state) {
  Semaphore semaphore(permits);
  room<std::atomic<std::int64_t>> room;
  threads_in_step(state, tasks * turns, {.at_home = 0, .elsewhere = tasks},
                  [&](std::size_t) { take_turns<std::this_thread::yield>(semaphore, room); });
  room.check_after(state);
  check_all_free(state, semaphore);
}

// ---- coroutines: a channel with room for n messages; sending one acquires a permit, receiving one releases
// it ----

class channel_semaphore {
public:
  channel_semaphore(asio::io_context& loop, std::size_t most, std::size_t taken)
      : channel_(loop.get_executor(), most) {
    while (taken-- > 0) try_acquire();
  }
  auto acquire() { return channel_.async_send({}, asio::deferred); }
  bool try_acquire() { return channel_.try_send(error_code()); }
  void release() {
    channel_.try_receive([](error_code) {});
  }

private:
  asio::experimental::basic_channel<executor, asio::experimental::channel_traits<>, void(error_code)>
      channel_;
};

void BM_Semaphore_AsioChannel(benchmark::State& state) {
  asio::io_context loop(1);
  channel_semaphore semaphore(loop, permits, 0);
  const auto run = [&]() -> awaitable {
    for (auto _ : state) {
      co_await semaphore.acquire();
      semaphore.release();
    }
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  check_all_free(state, semaphore);
}

void BM_Semaphore_AsioChannelHandover(benchmark::State& state) {
  asio::io_context loop(1);
  channel_semaphore there(loop, 1, 1);
  channel_semaphore back(loop, 1, 1);
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  bool over = false;
  const auto partner = [&]() -> awaitable {
    for (;;) {
      co_await there.acquire();
      if (over) break;
      ++answered;
      back.release();
    }
  };
  const auto timed = [&]() -> awaitable {
    while (state.KeepRunningBatch(2)) {
      there.release();
      co_await back.acquire();
      ++asked;
    }
    over = true;
    there.release();
  };
  asio::co_spawn(loop, partner(), asio::detached);
  asio::co_spawn(loop, timed(), asio::detached);
  loop.run();
  check(state, asked == answered, "a permit was lost");
}

void BM_Semaphore_AsioChannelCrowd(benchmark::State& state) {
  asio::io_context loop(1);
  channel_semaphore semaphore(loop, permits, 0);
  room<std::int64_t> room;
  const auto task = [&]() -> awaitable {
    for (std::int64_t turn = 0; turn < turns; ++turn) {
      co_await semaphore.acquire();
      room.enter();
      co_await asio::post(loop, asio::deferred);
      room.leave();
      semaphore.release();
    }
  };
  while (state.KeepRunningBatch(tasks * turns)) {
    state.PauseTiming();
    loop.restart();
    for (std::int64_t i = 0; i < tasks; ++i) asio::co_spawn(loop, task(), asio::detached);
    state.ResumeTiming();
    loop.run();
  }
  room.check_after(state);
  check_all_free(state, semaphore);
}

// ---- fibers ----

using fiber_semaphore = monitor_semaphore<boost::fibers::mutex, boost::fibers::condition_variable>;

void BM_Semaphore_Fiber(benchmark::State& state) {
  boost::fibers::fiber([&] { alone<fiber_semaphore>(state); }).join();
}

void BM_Semaphore_FiberHandover(benchmark::State& state) {
  handover<fiber_semaphore> two;
  boost::fibers::fiber partner([&] { two.answer(); });
  boost::fibers::fiber([&] { two.ask(state); }).join();
  partner.join();
  two.check_after(state);
}

void BM_Semaphore_FiberCrowd(benchmark::State& state) {
  fiber_semaphore semaphore(permits);
  room<std::int64_t> room;
  fibers_in_step(state, tasks * turns, tasks,
                 [&](std::size_t) { take_turns<boost::this_fiber::yield>(semaphore, room); });
  room.check_after(state);
  check_all_free(state, semaphore);
}

BENCHMARK(BM_Semaphore_Null);
BENCHMARK(alone<standard_semaphore>)->Name("BM_Semaphore_Counting");
BENCHMARK(alone<posix_semaphore>)->Name("BM_Semaphore_Posix");
BENCHMARK(alone<condition_semaphore>)->Name("BM_Semaphore_ConditionVariable");
BENCHMARK(BM_Semaphore_AsioChannel);
BENCHMARK(BM_Semaphore_Fiber);
BENCHMARK(thread_handover<standard_semaphore>)
    ->Name("BM_Semaphore_CountingHandover")
    ->Apply(on_one_and_two_cpus);
BENCHMARK(thread_handover<condition_semaphore>)
    ->Name("BM_Semaphore_ConditionVariableHandover")
    ->Apply(on_one_and_two_cpus);
BENCHMARK(BM_Semaphore_AsioChannelHandover);
BENCHMARK(BM_Semaphore_FiberHandover);
BENCHMARK(thread_crowd<posix_semaphore>)->Name("BM_Semaphore_PosixCrowd")->Apply(threaded);
BENCHMARK(thread_crowd<condition_semaphore>)->Name("BM_Semaphore_ConditionVariableCrowd")->Apply(threaded);
BENCHMARK(BM_Semaphore_AsioChannelCrowd);
BENCHMARK(BM_Semaphore_FiberCrowd);

}  // namespace
}  // namespace echobench::bench
