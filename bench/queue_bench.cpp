// What does it cost to hand items from producers to consumers through a bounded queue? One iteration is one
// item; in BM_QueueLatency it is an item's way to a party that waits for it, half a round trip through two
// queues.
//
// Threads: the producers sit at home, the consumers on the other CPUs. Coroutines and fibers share one
// thread, except those of AsioConcurrentChannel: producers on a loop at home, consumers on one elsewhere.
#include "bench/asio_loop.hpp"
#include "bench/in_step.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/fiber/buffered_channel.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/unbuffered_channel.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <boost/thread/concurrent_queues/sync_bounded_queue.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 108200
#include <boost/asio/bind_immediate_executor.hpp>
#endif

#include <array>
#include <condition_variable>
#include <deque>
#include <limits>
#include <mutex>
#include <utility>

namespace echobench::bench {
namespace {

// ---- what is handed over, and how it is checked ----

struct item {
  std::uint32_t producer = 0;
  std::uint32_t number = 0;
};

constexpr std::size_t most_producers = 4;
constexpr std::size_t cache_line = 64;  // so that no two threads' counts share one

// A producer counts its items.
struct alignas(cache_line) source {
  std::uint32_t producer = 0;
  std::uint32_t sent = 0;
  item next() { return {producer, ++sent}; }
};

// For a consumer, the numbers of each producer ascend.
struct alignas(cache_line) sink {
  std::array<std::uint32_t, most_producers> newest{};
  std::uint64_t received = 0;
  std::uint64_t sum = 0;
  bool in_order = true;

  void take(item got) {
    const std::uint32_t before = std::exchange(newest[got.producer % most_producers], got.number);
    in_order = in_order && got.number > before;
    sum += got.number;
    ++received;
  }
};

struct parties {
  parties(std::int64_t producers, std::int64_t consumers)
      : sources(static_cast<std::size_t>(producers)), sinks(static_cast<std::size_t>(consumers)) {
    for (std::uint32_t i = 0; i < sources.size(); ++i) sources[i].producer = i;
  }
  explicit parties(const benchmark::State& state) : parties(state.range(1), state.range(2)) {}

  void check_answers(benchmark::State& state) const {
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    std::uint64_t sum = 0;  // of the numbers received minus those sent
    for (const source& from : sources) {
      sent += from.sent;
      sum -= std::uint64_t{from.sent} * (from.sent + std::uint64_t{1}) / 2;
    }
    for (const sink& to : sinks) {
      received += to.received;
      sum += to.sum;
      check(state, to.in_order, "a producer's items changed their order");
    }
    check(state, sent == static_cast<std::uint64_t>(state.iterations()) && received == sent,
          "items were lost or invented");
    check(state, sum == 0, "items were damaged");
  }

  std::vector<source> sources;
  std::vector<sink> sinks;
};

std::size_t capacity_of(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

// The items of one batch: so many that its barrier does not count; fewer if each costs two switches of
// threads.
std::size_t batch_of(const benchmark::State& state) { return state.range(0) == 1 ? 2'000 : 40'000; }

// The share of one party in a batch; the producers come first.
template <class Queue>
auto share_in(Queue& queue, parties& all, std::size_t batch) {
  return [&queue, &all, batch](std::size_t index) {
    const std::size_t producers = all.sources.size();
    if (index < producers) {
      for (std::size_t left = batch / producers; left != 0; --left) queue.push(all.sources[index].next());
    } else {
      sink& to = all.sinks[index - producers];
      for (std::size_t left = batch / all.sinks.size(); left != 0; --left) to.take(queue.pop());
    }
  };
}

// The last item of a conversation.
constexpr item farewell{std::numeric_limits<std::uint32_t>::max(), 0};

template <class Queue>
void ask(Queue& there, Queue& back, benchmark::State& state) {
  std::uint32_t asked = 0;
  bool same = true;
  while (state.KeepRunningBatch(2)) {
    there.push({0, ++asked});
    same = back.pop().number == asked && same;
  }
  there.push(farewell);
  check(state, same, "another item came back");
}

template <class Queue>
void answer(Queue& there, Queue& back) {
  for (item got = there.pop(); got.producer != farewell.producer; got = there.pop()) back.push(got);
}

// The floor: a ring buffer of one thread.
void BM_Queue_Null(benchmark::State& state) {
  parties self(1, 1);
  std::array<item, 64> ring{};
  std::size_t place = 0;
  for (auto _ : state) {
    ring[place] = self.sources[0].next();
    benchmark::ClobberMemory();
    self.sinks[0].take(ring[place]);
    place = (place + 1) % ring.size();
  }
  self.check_answers(state);
}

// ---- threads ----

// The mechanism of servers/serving/blocking_queue.hpp, with a limit: a thread that must wait sleeps in the
// kernel.
class mutex_queue {
public:
  explicit mutex_queue(std::size_t capacity) : capacity_(capacity) {}

  void push(item it) {
    {
      std::unique_lock lock(mutex_);
      removed_.wait(lock, [this] { return items_.size() < capacity_; });
      items_.push_back(it);
    }
    added_.notify_one();
  }

  item pop() {
    item it;
    {
      std::unique_lock lock(mutex_);
      added_.wait(lock, [this] { return !items_.empty(); });
      it = items_.front();
      items_.pop_front();
    }
    removed_.notify_one();
    return it;
  }

private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::condition_variable removed_;
  const std::size_t capacity_;
  std::deque<item> items_;
};

// The same in Boost, with a ring buffer; it notifies only if a thread waits.
class sync_bounded_queue {
public:
  explicit sync_bounded_queue(std::size_t capacity) : queue_(capacity) {}
  void push(item it) { queue_.push_back(it); }
  item pop() { return queue_.pull_front(); }

private:
  boost::sync_bounded_queue<item> queue_;
};

// Boost.Lockfree's queues do not wait: a thread that finds one full, or empty, yields its CPU and tries
// again.
template <class Queue>
class yielding_queue {
public:
  explicit yielding_queue(std::size_t capacity) : queue_(capacity) {}
  void push(item it) {
    while (!queue_.push(it)) std::this_thread::yield();
  }
  item pop() {
    item it;
    while (!queue_.pop(it)) std::this_thread::yield();
    return it;
  }

private:
  Queue queue_;
};

// For any number of producers and consumers, and for one of each.
using lock_free_queue = yielding_queue<boost::lockfree::queue<item, boost::lockfree::fixed_sized<true>>>;
using spsc_queue = yielding_queue<boost::lockfree::spsc_queue<item>>;

template <class Queue>
void threads(benchmark::State& state) {
  parties all(state);
  Queue queue(capacity_of(state));
  const std::size_t batch = batch_of(state);
  threads_in_step(state, batch, {all.sources.size(), all.sinks.size()}, share_in(queue, all, batch));
  all.check_answers(state);
}

template <class Queue>
void thread_latency(benchmark::State& state) {
  Queue there(1);
  Queue back(1);
  const std::jthread partner([&] {
    place_partner(state.range(0));
    answer(there, back);
  });
  ask(there, back, state);
}

// ---- coroutines: every send and receive goes through its loop, even if it need not wait ----

using channel = asio::experimental::channel<executor, void(error_code, item)>;
using concurrent_channel = asio::experimental::concurrent_channel<executor, void(error_code, item)>;

// An operation that need not wait completes through its coroutine's loop, too. Since Boost 1.82 it goes
// through the channel's, unless it is told otherwise.
auto on(executor loop) {
#if BOOST_VERSION >= 108200
  return asio::bind_immediate_executor(asio::require(loop, asio::execution::blocking.never), asio::deferred);
#else
  static_cast<void>(loop);
  return asio::deferred;
#endif
}

template <class Channel>
awaitable send_all(Channel& queue, source& from, std::size_t count) {
  const executor loop = co_await asio::this_coro::executor;
  for (; count != 0; --count) co_await queue.async_send(error_code(), from.next(), on(loop));
}

template <class Channel>
awaitable receive_all(Channel& queue, sink& to, std::size_t count) {
  const executor loop = co_await asio::this_coro::executor;
  for (; count != 0; --count) to.take(co_await queue.async_receive(on(loop)));
}

template <class Channel>
void spawn_producers(asio::io_context& loop, Channel& queue, parties& all, std::size_t batch) {
  for (source& from : all.sources)
    asio::co_spawn(loop, send_all(queue, from, batch / all.sources.size()), asio::detached);
}

template <class Channel>
void spawn_consumers(asio::io_context& loop, Channel& queue, parties& all, std::size_t batch) {
  for (sink& to : all.sinks)
    asio::co_spawn(loop, receive_all(queue, to, batch / all.sinks.size()), asio::detached);
}

void BM_Queue_AsioChannel(benchmark::State& state) {
  parties all(state);
  asio::io_context loop(1);
  channel queue(loop.get_executor(), capacity_of(state));
  const std::size_t batch = batch_of(state);
  while (state.KeepRunningBatch(static_cast<std::int64_t>(batch))) {
    spawn_producers(loop, queue, all, batch);
    spawn_consumers(loop, queue, all, batch);
    loop.run();
    loop.restart();
  }
  all.check_answers(state);
}

// A loop for each side, as in a server with a loop for each thread; if both threads ran one loop, chance
// would determine which of them does what. A loop without sockets waits on a condition variable, not in
// epoll_wait(2). An operation completes on its coroutine's loop, but also counts as work of the channel's
// loop. That is a third loop: otherwise the last operation of one side would stop the loop of the other.
void BM_Queue_AsioConcurrentChannel(benchmark::State& state) {
  parties all(state);
  asio::io_context producing(1);
  asio::io_context consuming(1);
  asio::io_context never_run;
  concurrent_channel queue(never_run.get_executor(), capacity_of(state));
  const std::size_t batch = batch_of(state);
  threads_in_step(state, batch, {1, 1}, [&](std::size_t index) {
    asio::io_context& loop = index == 0 ? producing : consuming;
    loop.restart();
    index == 0 ? spawn_producers(loop, queue, all, batch) : spawn_consumers(loop, queue, all, batch);
    loop.run();
  });
  all.check_answers(state);
}

template <class Channel>
awaitable ask_through(Channel& there, Channel& back, benchmark::State& state) {
  const executor loop = co_await asio::this_coro::executor;
  std::uint32_t asked = 0;
  bool same = true;
  while (state.KeepRunningBatch(2)) {
    ++asked;
    co_await there.async_send(error_code(), item{0, asked}, on(loop));
    const item got = co_await back.async_receive(on(loop));
    same = got.number == asked && same;
  }
  co_await there.async_send(error_code(), farewell, on(loop));
  check(state, same, "another item came back");
}

template <class Channel>
awaitable answer_through(Channel& there, Channel& back) {
  const executor loop = co_await asio::this_coro::executor;
  for (;;) {
    const item got = co_await there.async_receive(on(loop));
    if (got.producer == farewell.producer) break;
    co_await back.async_send(error_code(), got, on(loop));
  }
}

void BM_QueueLatency_AsioChannel(benchmark::State& state) {
  asio::io_context loop(1);
  channel there(loop.get_executor(), 1);
  channel back(loop.get_executor(), 1);
  asio::co_spawn(loop, answer_through(there, back), asio::detached);
  asio::co_spawn(loop, ask_through(there, back, state), asio::detached);
  loop.run();
}

void BM_QueueLatency_AsioConcurrentChannel(benchmark::State& state) {
  asio::io_context loop(1);
  asio::io_context other(1);
  concurrent_channel there(other.get_executor(), 1);
  concurrent_channel back(loop.get_executor(), 1);
  asio::co_spawn(other, answer_through(there, back), asio::detached);
  asio::co_spawn(loop, ask_through(there, back, state), asio::detached);
  const std::jthread partner([&] {
    place_partner(state.range(0));
    other.run();
  });
  loop.run();
}

// ---- fibers ----

// The buffered channel of Boost.Fiber keeps a place free: it holds one item less than its capacity, which
// must be a power of two.
using buffered = boost::fibers::buffered_channel<item>;

// So there is no capacity of 1. Instead: a rendezvous, which holds nothing.
struct unbuffered : boost::fibers::unbuffered_channel<item> {
  explicit unbuffered(std::size_t) {}
};

template <class Channel>
class fiber_queue {
public:
  explicit fiber_queue(std::size_t capacity) : channel_(capacity) {}
  void push(item it) { channel_.push(it); }
  item pop() { return channel_.value_pop(); }

private:
  Channel channel_;
};

template <class Channel>
void fibers(benchmark::State& state) {
  parties all(state);
  fiber_queue<Channel> queue(capacity_of(state));
  const std::size_t batch = batch_of(state);
  fibers_in_step(state, batch, all.sources.size() + all.sinks.size(), share_in(queue, all, batch));
  all.check_answers(state);
}

void BM_Queue_FiberChannel(benchmark::State& state) {
  state.range(0) == 1 ? fibers<unbuffered>(state) : fibers<buffered>(state);
}

void BM_QueueLatency_FiberChannel(benchmark::State& state) {
  fiber_queue<unbuffered> there(1);
  fiber_queue<unbuffered> back(1);
  boost::fibers::fiber partner([&] { answer(there, back); });
  boost::fibers::fiber timed([&] { ask(there, back, state); });
  timed.join();
  partner.join();
}

void named(benchmark::internal::Benchmark* row) { row->ArgNames({"capacity", "producers", "consumers"}); }
void one_to_one(benchmark::internal::Benchmark* row) {
  row->Args({1, 1, 1})->Args({64, 1, 1})->Args({4096, 1, 1})->Apply(named);
}
void several(benchmark::internal::Benchmark* row) { row->Args({64, 4, 1})->Args({64, 4, 4})->Apply(named); }
void all_topologies(benchmark::internal::Benchmark* row) { row->Apply(one_to_one)->Apply(several); }

BENCHMARK(BM_Queue_Null);
BENCHMARK(threads<mutex_queue>)->Name("BM_Queue_Mutex")->Apply(all_topologies)->Apply(threaded);
BENCHMARK(threads<sync_bounded_queue>)->Name("BM_Queue_SyncBounded")->Apply(all_topologies)->Apply(threaded);
BENCHMARK(threads<spsc_queue>)->Name("BM_Queue_LockFreeSpsc")->Apply(one_to_one)->Apply(threaded);
BENCHMARK(threads<lock_free_queue>)
    ->Name("BM_Queue_LockFree")
    ->Args({64, 1, 1})
    ->Apply(several)
    ->Apply(threaded);
BENCHMARK(BM_Queue_AsioChannel)->Apply(all_topologies);
BENCHMARK(BM_Queue_AsioConcurrentChannel)->Apply(all_topologies)->Apply(threaded);
BENCHMARK(BM_Queue_FiberChannel)->Apply(all_topologies);

BENCHMARK(thread_latency<mutex_queue>)->Name("BM_QueueLatency_Mutex")->Apply(on_one_and_two_cpus);
BENCHMARK(thread_latency<sync_bounded_queue>)
    ->Name("BM_QueueLatency_SyncBounded")
    ->Apply(on_one_and_two_cpus);
BENCHMARK(thread_latency<spsc_queue>)->Name("BM_QueueLatency_LockFreeSpsc")->Apply(on_one_and_two_cpus);
BENCHMARK(BM_QueueLatency_AsioChannel);
BENCHMARK(BM_QueueLatency_AsioConcurrentChannel)->Apply(on_one_and_two_cpus);
BENCHMARK(BM_QueueLatency_FiberChannel);

}  // namespace
}  // namespace echobench::bench
