// What does it cost to signal that something has happened? One iteration is one waiter that sees it: a round
// (all wait, the event is set, all have seen it) has as many iterations as there are waiters.
//
// Threads: timed is what passes from setting the event until the last waiter has seen it (manual time). That
// the waiters wait again is checked before, and costs nothing here. Coroutines and fibers take turns on one
// thread, so that a whole round is timed: setting the event, each waiter resumed and waiting again, and the
// setter.
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"
#include "common/process.hpp"
#include "common/socket.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/post.hpp>
#include <boost/fiber/condition_variable.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/fixedsize_stack.hpp>
#include <boost/fiber/mutex.hpp>
#include <boost/fiber/operations.hpp>
#include <boost/thread/thread.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <latch>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

namespace echobench::bench {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t small_stack = std::size_t{64} << 10U;

// The floor: a flag that is set and read by one thread.
void BM_Event_Null(benchmark::State& state) {
  std::atomic<bool> happened{false};
  bool seen = true;
  for (auto _ : state) {
    happened.store(true, std::memory_order_release);
    seen = seen && happened.load(std::memory_order_acquire);
    benchmark::ClobberMemory();
  }
  check(state, seen, "the flag was not seen");
}

// ---- threads: events that happen again and again, and wait(n) returns when they have for the n-th time ----

// A waiter counts itself in `arrived` when the event's wait is all that it can sleep in.
using arrivals = std::atomic<std::size_t>;

class condition_event {
public:
  explicit condition_event(std::size_t waiters) : one_(waiters == 1) {}
  void happen() {
    {
      const std::lock_guard lock(mutex_);
      ++happened_;
    }
    one_ ? changed_.notify_one() : changed_.notify_all();
  }
  void wait(std::uint32_t nth, arrivals& arrived) {
    std::unique_lock lock(mutex_);
    ++arrived;
    changed_.wait(lock, [&] { return happened_ >= nth; });
  }

private:
  const bool one_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t happened_ = 0;
};

// A latch opens once. Two alternate: the next is made while all still wait at the other.
class latch_event {
public:
  explicit latch_event(std::size_t /*waiters*/) { latches_[1].emplace(1); }
  void happen() {
    const auto next = ++happened_ + 1;
    latches_[next % 2].emplace(1);
    latches_[happened_ % 2]->count_down();
  }
  void wait(std::uint32_t nth, arrivals& arrived) {
    ++arrived;
    latches_[nth % 2]->wait();
  }

private:
  std::array<std::optional<std::latch>, 2> latches_;
  std::uint32_t happened_ = 0;
};

class atomic_event {
public:
  explicit atomic_event(std::size_t waiters) : one_(waiters == 1) {}
  void happen() {
    ++happened_;
    one_ ? happened_.notify_one() : happened_.notify_all();
  }
  void wait(std::uint32_t nth, arrivals& arrived) {
    ++arrived;
    for (auto now = happened_.load(); now < nth; now = happened_.load()) happened_.wait(now);
  }

private:
  const bool one_;
  std::atomic<std::uint32_t> happened_{0};
};

// Whether the thread that made it sleeps in the kernel (proc(5), stat).
class thread_state {
public:
  thread_state() : stat_(::open("/proc/thread-self/stat", O_RDONLY | O_CLOEXEC)) {}
  bool asleep() const {
    std::array<char, 64> text{};
    const auto n = ::pread(stat_.get(), text.data(), text.size(), 0);
    const std::string_view line(text.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    const auto end_of_name = line.rfind(") ");
    return end_of_name != line.npos && line.substr(end_of_name + 2, 1) == "S";
  }

private:
  unique_fd stat_;
};

template <class Event>
class waiting_threads {
public:
  explicit waiting_threads(std::size_t size) : event_(size), states_(size) {}
  waiting_threads(const waiting_threads&) = delete;
  waiting_threads& operator=(const waiting_threads&) = delete;
  ~waiting_threads() {  // NOLINT(bugprone-exception-escape): its threads can be joined
    over_ = true;
    event_.happen();
    for (auto& thread : threads_) thread.join();
  }

  void start() {
    boost::thread::attributes small;
    small.set_stack_size(small_stack);
    threads_.reserve(states_.size());
    for (auto& state : states_) threads_.emplace_back(small, [this, &state] { watch(state); });
  }

  // Waits until all threads sleep in the event's wait; false if they do not.
  bool settle() {
    const auto deadline = clock::now() + 5s;
    const auto until = [&](const auto& holds) {
      while (!holds() && clock::now() < deadline) std::this_thread::yield();
      return holds();
    };
    bool settled = until([&] { return arrived_ == states_.size(); });
    for (const auto& state : states_) settled = settled && until([&] { return state->asleep(); });
    arrived_ = 0;
    return settled;
  }

  // The time from setting the event until all threads have seen it; nothing if they do not.
  std::optional<clock::duration> signal() {
    seen_ = 0;
    std::unique_lock lock(mutex_);
    last_saw_.reset();
    const auto start = clock::now();
    event_.happen();
    if (!all_saw_.wait_for(lock, 5s, [&] { return last_saw_.has_value(); })) return {};
    return *last_saw_ - start;
  }

private:
  void watch(std::optional<thread_state>& state) {
    state.emplace();
    for (std::uint32_t nth = 1;; ++nth) {
      event_.wait(nth, arrived_);
      if (over_) break;
      if (++seen_ == states_.size()) {
        const auto now = clock::now();
        const std::lock_guard lock(mutex_);
        last_saw_ = now;
        all_saw_.notify_one();
      }
    }
  }

  Event event_;
  std::vector<std::optional<thread_state>> states_;
  std::vector<boost::thread> threads_;
  std::atomic<bool> over_{false};
  arrivals arrived_{0};
  std::atomic<std::size_t> seen_{0};
  std::mutex mutex_;
  std::condition_variable all_saw_;  // not libstdc++'s semaphore, which spins before it lets the others run
  std::optional<clock::time_point> last_saw_;
};

template <class Event>
void threads(benchmark::State& state) {
  const auto waiters = static_cast<std::size_t>(state.range(0));
  if (raise_descriptor_limit() < waiters + 100) return unavailable(state, "too few descriptors");
  waiting_threads<Event> group(waiters);
  try {
    const starting_on there(state.range(1) == 1 ? home() : others());
    group.start();
  } catch (const boost::thread_resource_error& error) {
    return unavailable(state, error.what());
  }
  while (state.KeepRunningBatch(state.range(0))) {
    state.PauseTiming();
    const bool settled = group.settle();
    state.ResumeTiming();
    if (!settled) return wrong(state, "a waiter did not wait again");
    const auto took = group.signal();
    if (!took) return wrong(state, "a waiter did not see the event");
    state.SetIterationTime(std::chrono::duration<double>(*took).count());
  }
}

// ---- coroutines ----

// A timer that never expires; cancelling it ends all present waits. The first wait sets the loop's timerfd, a
// system call.
class timer_event {
public:
  explicit timer_event(asio::io_context& loop) : timer_(loop, clock::time_point::max()) {}
  void happen() { timer_.cancel(); }
  auto wait() { return timer_.async_wait(asio::as_tuple(asio::deferred)); }

private:
  asio_timer timer_;
};

// A channel through which nothing is ever sent; closing it ends every wait, including those that begin later,
// until it is reset.
class channel_event {
public:
  explicit channel_event(asio::io_context& loop) : channel_(loop.get_executor()) {}
  void happen() {
    channel_.close();
    channel_.reset();
  }
  auto wait() { return channel_.async_receive(asio::as_tuple(asio::deferred)); }

private:
  asio::experimental::basic_channel<executor, asio::experimental::channel_traits<>, void(error_code)>
      channel_;
};

template <class Event>
void coroutines(benchmark::State& state) {
  asio::io_context loop(1);
  Event event(loop);
  std::int64_t waiting = 0;
  std::int64_t seen = 0;
  bool all_waited = true;
  bool over = false;
  const auto waiter = [&]() -> awaitable {
    for (;;) {
      ++waiting;
      co_await event.wait();
      if (over) break;
      ++seen;
    }
  };
  const auto setter = [&]() -> awaitable {
    while (state.KeepRunningBatch(state.range(0))) {
      all_waited = all_waited && waiting == state.range(0);
      waiting = 0;
      event.happen();
      co_await asio::post(loop, asio::deferred);  // behind the waiters
    }
    over = true;
    event.happen();
  };
  for (std::int64_t i = 0; i < state.range(0); ++i) asio::co_spawn(loop, waiter(), asio::detached);
  asio::co_spawn(loop, setter(), asio::detached);
  loop.run();
  check(state, all_waited, "a waiter did not wait again");
  check(state, seen == state.iterations(), "an event was not seen");
}

// ---- fibers ----

void BM_Event_FiberConditionVariable(benchmark::State& state) {
  boost::fibers::mutex mutex;
  boost::fibers::condition_variable changed;
  std::uint64_t happened = 0;
  std::int64_t waiting = 0;
  std::int64_t seen = 0;
  bool all_waited = true;
  bool over = false;
  const auto happen = [&] {
    {
      const std::lock_guard lock(mutex);
      ++happened;
    }
    changed.notify_all();
  };
  const auto wait = [&] {
    std::unique_lock lock(mutex);
    for (std::uint64_t nth = 1;; ++nth) {
      ++waiting;
      changed.wait(lock, [&] { return happened >= nth; });
      if (over) break;
      ++seen;
    }
  };
  boost::fibers::fixedsize_stack small(small_stack);
  std::vector<boost::fibers::fiber> waiters;
  for (std::int64_t i = 0; i < state.range(0); ++i) waiters.emplace_back(std::allocator_arg, small, wait);
  boost::fibers::fiber setter([&] {
    while (state.KeepRunningBatch(state.range(0))) {
      all_waited = all_waited && waiting == state.range(0);
      waiting = 0;
      happen();
      boost::this_fiber::yield();  // behind the waiters
    }
    over = true;
    happen();
  });
  setter.join();
  for (auto& waiter : waiters) waiter.join();
  check(state, all_waited, "a waiter did not wait again");
  check(state, seen == state.iterations(), "an event was not seen");
}

void in_wall_time(benchmark::internal::Benchmark* row) {
  row->ArgNames({"waiters", "cpus"})->UseManualTime()->MeasureProcessCPUTime();
}
void one_thread(benchmark::internal::Benchmark* row) {
  in_wall_time(row);
  row->Args({1, 1})->Iterations(2'000);
  if (all_cpus().size() > 1) row->Args({1, 2});
}
void thousand_threads(benchmark::internal::Benchmark* row) {
  in_wall_time(row);
  row->Args({1'000, all_cpus().size() > 1 ? 2 : 1})->Iterations(10'000);
}

BENCHMARK(BM_Event_Null);
BENCHMARK(threads<condition_event>)->Name("BM_Event_ConditionVariable")->Apply(one_thread);
BENCHMARK(threads<condition_event>)->Name("BM_Event_ConditionVariable")->Apply(thousand_threads);
BENCHMARK(threads<latch_event>)->Name("BM_Event_Latch")->Apply(one_thread);
BENCHMARK(threads<latch_event>)->Name("BM_Event_Latch")->Apply(thousand_threads);
BENCHMARK(threads<atomic_event>)->Name("BM_Event_AtomicWait")->Apply(one_thread);
BENCHMARK(threads<atomic_event>)->Name("BM_Event_AtomicWait")->Apply(thousand_threads);
BENCHMARK(coroutines<timer_event>)->Name("BM_Event_AsioTimer")->ArgName("waiters")->Arg(1)->Arg(1'000);
BENCHMARK(coroutines<channel_event>)->Name("BM_Event_AsioChannel")->ArgName("waiters")->Arg(1)->Arg(1'000);
BENCHMARK(BM_Event_FiberConditionVariable)->ArgName("waiters")->Arg(1)->Arg(1'000);

}  // namespace
}  // namespace echobench::bench
