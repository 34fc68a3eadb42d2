// What does it cost to set a result in one place and to get it in another? One iteration is one result: its
// carrier is made, the result is set, and got. In rows with `cpus` another thread sets it, so that they
// contain two handovers between threads (BM_Switch_ConditionVariable): one asks for the result, one brings
// it.
#define BOOST_THREAD_PROVIDES_FUTURE
#define BOOST_THREAD_PROVIDES_FUTURE_CONTINUATION
// Since version 19 Clang refuses the executors, for a wrong name in Boost's future.hpp: no row for them then.
#if !defined(__clang__) || __clang_major__ < 19
#define BOOST_THREAD_PROVIDES_EXECUTORS
#define BOOST_THREAD_USES_MOVE  // or the executors are left out
#endif
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/future.hpp>
#include <boost/fiber/operations.hpp>
#include <boost/thread/executors/inline_executor.hpp>
#include <boost/thread/future.hpp>

#include <condition_variable>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace echobench::bench {
namespace {

// The results are 0, 1, 2 ...; those that were got are added up.
class results {
public:
  std::uint64_t next() { return made_++; }
  void got(std::uint64_t result) { sum_ += result; }
  void check_sum(benchmark::State& state) const {
    const auto count = static_cast<std::uint64_t>(state.iterations());
    check(state, made_ == count && sum_ == count * (count - 1) / 2, "a result was lost, or was another");
  }

private:
  std::uint64_t made_ = 0;
  std::uint64_t sum_ = 0;
};

// The floor: a result stored through a pointer, with a flag that it is there.
struct slot {
  std::uint64_t value;
  bool ready;
};

ECHOBENCH_OPAQUE void store(slot& where, std::uint64_t value) { where = {value, true}; }

void BM_Future_Null(benchmark::State& state) {
  results all;
  for (auto _ : state) {
    slot result{};
    store(result, all.next());
    if (result.ready) all.got(result.value);
  }
  all.check_sum(state);
}

// ---- promises ----

// Set and got by one thread, or by one fiber.
template <class Promise>
void set_and_get(benchmark::State& state) {
  results all;
  for (auto _ : state) {
    Promise promise;
    auto result = promise.get_future();
    promise.set_value(all.next());
    all.got(result.get());
  }
  all.check_sum(state);
}

template <class T>
class mailbox {
public:
  void put(T value) {
    {
      const std::lock_guard lock(mutex_);
      value_ = std::move(value);
    }
    changed_.notify_one();
  }
  T take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return value_.has_value(); });
    return *std::exchange(value_, std::nullopt);
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<T> value_;
};

// A promise that is handed to the thread that fulfils it.
void BM_Future_PromiseHandedOver(benchmark::State& state) {
  struct order {
    std::promise<std::uint64_t> promise;
    std::uint64_t result = 0;
    bool last = false;
  };
  mailbox<order> orders;
  results all;
  std::jthread partner([&] {
    place_partner(state.range(0));
    for (order next = orders.take(); !next.last; next = orders.take()) next.promise.set_value(next.result);
  });
  for (auto _ : state) {
    std::promise<std::uint64_t> promise;
    auto result = promise.get_future();
    orders.put({.promise = std::move(promise), .result = all.next()});
    all.got(result.get());
  }
  orders.put({.promise = {}, .last = true});
  all.check_sum(state);
}

// ---- Boost.Thread: a continuation makes another future ----

template <auto Attach>
void continuation(benchmark::State& state) {
  results all;
  for (auto _ : state) {
    boost::promise<std::uint64_t> promise;
    boost::future<std::uint64_t> result =
        Attach(promise.get_future(), [](boost::future<std::uint64_t> ready) { return ready.get(); });
    promise.set_value(all.next());
    all.got(result.get());
  }
  all.check_sum(state);
}

// launch::sync: set_value() runs the continuation.
constexpr auto in_place = [](auto future, auto next) {
  return future.then(boost::launch::sync, std::move(next));
};
#ifdef BOOST_THREAD_PROVIDES_EXECUTORS
// So does this executor, through the interface that all executors have.
constexpr auto by_executor = [](auto future, auto next) {
  static boost::executors::inline_executor here;
  return future.then(here, std::move(next));
};
#endif
// launch::async, which is also the default for the future of a promise: set_value() starts a thread that runs
// the continuation and is never joined.
constexpr auto on_a_thread = [](auto future, auto next) {
  return future.then(boost::launch::async, std::move(next));
};

// ---- Asio ----

// A loop that another thread runs until this object is destroyed.
class loop_thread {
public:
  explicit loop_thread(std::int64_t cpus)
      : runner_([this, cpus] {
          place_partner(cpus);
          loop_.run();
        }) {}
  ~loop_thread() { work_.reset(); }
  loop_thread(const loop_thread&) = delete;
  loop_thread& operator=(const loop_thread&) = delete;

  asio::io_context& loop() { return loop_; }

private:
  asio::io_context loop_{1};
  asio::executor_work_guard<executor> work_ = asio::make_work_guard(loop_);
  std::jthread runner_;
};

void BM_Future_AsioUseFuture(benchmark::State& state) {
  loop_thread other(state.range(0));
  results all;
  for (auto _ : state) {
    const auto compute = [result = all.next()] { return result; };
    all.got(asio::post(other.loop(), asio::use_future(compute)).get());
  }
  all.check_sum(state);
}

constexpr auto compute = [](std::uint64_t result) -> awaitable_of<std::uint64_t> { co_return result; };

void BM_Future_AsioCoSpawnUseFuture(benchmark::State& state) {
  loop_thread other(state.range(0));
  results all;
  for (auto _ : state) {
    all.got(asio::co_spawn(other.loop(), compute(all.next()), asio::use_future).get());
  }
  all.check_sum(state);
}

// The result of a coroutine that another awaits lies in its frame: no shared state, no lock.
void BM_Future_AsioCoroutine(benchmark::State& state) {
  asio::io_context loop(1);
  results all;
  const auto run = [&]() -> awaitable {
    for (auto _ : state) all.got(co_await compute(all.next()));
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  all.check_sum(state);
}

// ---- fibers ----

void BM_Future_FiberPromise(benchmark::State& state) {
  boost::fibers::fiber(set_and_get<boost::fibers::promise<std::uint64_t>>, std::ref(state)).join();
}

// Waiting for the result lets the fiber run that fulfils the promise.
void BM_Future_FiberPromiseHandedOver(benchmark::State& state) {
  std::optional<boost::fibers::promise<std::uint64_t>> order;
  bool over = false;
  results all;
  boost::fibers::fiber partner([&] {
    while (!over) {
      if (order) std::exchange(order, std::nullopt)->set_value(all.next());
      boost::this_fiber::yield();
    }
  });
  boost::fibers::fiber timed([&] {
    for (auto _ : state) {
      auto result = order.emplace().get_future();
      all.got(result.get());
    }
    over = true;
  });
  timed.join();
  partner.join();
  all.check_sum(state);
}

// A fiber for every result, with its stack.
void BM_Future_FiberAsync(benchmark::State& state) {
  results all;
  boost::fibers::fiber timed([&] {
    for (auto _ : state) all.got(boost::fibers::async([&] { return all.next(); }).get());
  });
  timed.join();
  all.check_sum(state);
}

BENCHMARK(BM_Future_Null);
BENCHMARK(set_and_get<std::promise<std::uint64_t>>)->Name("BM_Future_Promise");
BENCHMARK(BM_Future_PromiseHandedOver)->Apply(on_one_and_two_cpus);
BENCHMARK(set_and_get<boost::promise<std::uint64_t>>)->Name("BM_Future_BoostPromise");
BENCHMARK(continuation<in_place>)->Name("BM_Future_BoostThenSync");
#ifdef BOOST_THREAD_PROVIDES_EXECUTORS
BENCHMARK(continuation<by_executor>)->Name("BM_Future_BoostThenExecutor");
#endif
BENCHMARK(continuation<on_a_thread>)->Name("BM_Future_BoostThenAsync")->Apply(threaded);
BENCHMARK(BM_Future_AsioUseFuture)->Apply(on_one_and_two_cpus);
BENCHMARK(BM_Future_AsioCoSpawnUseFuture)->Apply(on_one_and_two_cpus);
BENCHMARK(BM_Future_AsioCoroutine);
BENCHMARK(BM_Future_FiberPromise);
BENCHMARK(BM_Future_FiberPromiseHandedOver);
BENCHMARK(BM_Future_FiberAsync);

}  // namespace
}  // namespace echobench::bench
