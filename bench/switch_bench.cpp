// What does handing control over cost? One iteration is one handover: half a round trip.
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"
#include "common/socket.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/defer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/context/fiber.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <thread>

namespace echobench::bench {
namespace {

// The floor: a call that the compiler cannot see through, and its return.
ECHOBENCH_OPAQUE void callee(std::uint64_t& count) { ++count; }

void BM_Switch_Null(benchmark::State& state) {
  std::uint64_t calls = 0;
  while (state.KeepRunningBatch(2)) callee(calls);
  check(state, calls * 2 == static_cast<std::uint64_t>(state.iterations()), "calls were lost");
}

// ---- two threads; the one that has the baton runs ----

// futex(2), the system call under every lock of a thread.
class futex_baton {
public:
  void pass_to(std::uint32_t side) {
    turn_.store(side, std::memory_order_release);
    ::syscall(SYS_futex, &turn_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void await(std::uint32_t side) {
    while (turn_.load(std::memory_order_acquire) != side) {
      ::syscall(SYS_futex, &turn_, FUTEX_WAIT_PRIVATE, 1 - side, nullptr, nullptr, 0);
    }
  }

private:
  std::atomic<std::uint32_t> turn_{0};
};

class condition_baton {
public:
  void pass_to(std::uint32_t side) {
    {
      const std::lock_guard lock(mutex_);
      turn_ = side;
    }
    changed_.notify_one();
  }
  void await(std::uint32_t side) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return turn_ == side; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t turn_ = 0;
};

class pipe_baton {
public:
  pipe_baton() {
    for (channel& pipe : channels_) {
      std::array<int, 2> ends{};
      if (::pipe(ends.data()) != 0) throw std::system_error(errno, std::system_category(), "pipe");
      pipe = {unique_fd(ends[0]), unique_fd(ends[1])};
    }
  }
  void pass_to(std::uint32_t side) {
    const char byte = 0;
    [[maybe_unused]] const auto n = ::write(channels_[side].in.get(), &byte, 1);
  }
  void await(std::uint32_t side) {
    char byte = 0;
    [[maybe_unused]] const auto n = ::read(channels_[side].out.get(), &byte, 1);
  }

private:
  struct channel {
    unique_fd out, in;
  };
  std::array<channel, 2> channels_;
};

class eventfd_baton {
public:
  void pass_to(std::uint32_t side) { ::eventfd_write(events_[side].get(), 1); }
  void await(std::uint32_t side) {
    eventfd_t value = 0;
    ::eventfd_read(events_[side].get(), &value);
  }

private:
  std::array<unique_fd, 2> events_{unique_fd(::eventfd(0, 0)), unique_fd(::eventfd(0, 0))};
};

template <class Baton>
void ping_pong(benchmark::State& state) {
  Baton baton;
  std::uint64_t asked = 0;
  std::uint64_t answered = 0;
  std::atomic<bool> over{false};
  std::jthread partner([&] {
    place_partner(state.range(0));
    for (;;) {
      baton.await(1);
      if (over) break;
      ++answered;
      baton.pass_to(0);
    }
  });
  while (state.KeepRunningBatch(2)) {
    baton.pass_to(1);
    baton.await(0);
    ++asked;
  }
  over = true;
  baton.pass_to(1);
  partner.join();
  check(state, asked == answered, "a handover was lost");
}

// ---- coroutines ----

// A coroutine that is resumed by its owner, or by symmetric transfer.
struct resumable {
  struct promise_type {
    resumable get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
  struct destroyer {
    resumable& owner;
    ~destroyer() { owner.handle.destroy(); }
  };
};

resumable count_resumptions(std::uint64_t& count) {
  for (;;) {
    ++count;
    co_await std::suspend_always();
  }
}

void BM_Switch_CoroutineResume(benchmark::State& state) {
  std::uint64_t resumed = 0;
  resumable coroutine = count_resumptions(resumed);
  const resumable::destroyer guard{coroutine};
  while (state.KeepRunningBatch(2)) {
    coroutine.handle.resume();
    benchmark::DoNotOptimize(resumed);
  }
  check(state, resumed * 2 == static_cast<std::uint64_t>(state.iterations()), "a resumption was lost");
}

struct transfer_to {
  const std::coroutine_handle<resumable::promise_type>& other;
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<>) const noexcept { return other; }
  void await_resume() const noexcept {}
};

resumable answer(const std::coroutine_handle<resumable::promise_type>& asker, std::uint64_t& answered) {
  for (;;) {
    ++answered;
    co_await transfer_to{asker};
  }
}

resumable ask(const std::coroutine_handle<resumable::promise_type>& answerer, benchmark::State& state) {
  while (state.KeepRunningBatch(2)) co_await transfer_to{answerer};
}

void BM_Switch_SymmetricTransfer(benchmark::State& state) {
  std::uint64_t answered = 0;
  resumable asker;
  resumable answerer;
  answerer = answer(asker.handle, answered);
  const resumable::destroyer guard{answerer};
  asker = ask(answerer.handle, state);
  const resumable::destroyer other_guard{asker};
  asker.handle.resume();
  check(state, answered * 2 == static_cast<std::uint64_t>(state.iterations()), "a transfer was lost");
}

// ---- Asio: control goes through the loop's queue ----

constexpr auto by_post = [](auto&& executor, auto&& next) { asio::post(executor, next); };
constexpr auto by_defer = [](auto&& executor, auto&& next) { asio::defer(executor, next); };
constexpr auto by_dispatch = [](auto&& executor, auto&& next) { asio::dispatch(executor, next); };

// A handler that submits itself again as long as the benchmark runs.
template <auto Submit>
struct handler {
  benchmark::State& state;
  asio::io_context& loop;
  std::uint64_t& ran;
  void operator()() const {
    ++ran;
    if (state.KeepRunning()) Submit(loop.get_executor(), *this);
  }
};

template <auto Submit>
void handlers(benchmark::State& state) {
  asio::io_context loop(1);
  std::uint64_t ran = 0;
  asio::post(loop, handler<Submit>{state, loop, ran});
  loop.run();
  check(state, ran == static_cast<std::uint64_t>(state.iterations()) + 1, "a handler was lost");
}

// On the loop's thread dispatch() calls the handler at once, so that a chain of them would be a recursion.
void BM_Switch_AsioDispatch(benchmark::State& state) {
  asio::io_context loop(1);
  std::uint64_t ran = 0;
  asio::post(loop, [&] {
    for (auto _ : state) by_dispatch(loop.get_executor(), [&] { callee(ran); });
  });
  loop.run();
  check(state, ran == static_cast<std::uint64_t>(state.iterations()), "a handler was lost");
}

void BM_Switch_AsioCoroutinePost(benchmark::State& state) {
  asio::io_context loop(1);
  const auto run = [&]() -> awaitable {
    for (auto _ : state) co_await asio::post(loop, asio::deferred);
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
}

// One coroutine calls another and gets control back: two handovers.
void BM_Switch_AsioCoroutineCall(benchmark::State& state) {
  asio::io_context loop(1);
  std::uint64_t called = 0;
  const auto child = [&]() -> awaitable {
    ++called;
    co_return;
  };
  const auto run = [&]() -> awaitable {
    while (state.KeepRunningBatch(2)) co_await child();
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  check(state, called * 2 == static_cast<std::uint64_t>(state.iterations()), "a call was lost");
}

// ---- fibers ----

void BM_Switch_Context(benchmark::State& state) {
  std::uint64_t resumed = 0;
  boost::context::fiber other([&](boost::context::fiber&& back) {
    for (;;) {
      ++resumed;
      back = std::move(back).resume();
    }
    return std::move(back);
  });
  while (state.KeepRunningBatch(2)) other = std::move(other).resume();
  check(state, resumed * 2 == static_cast<std::uint64_t>(state.iterations()), "a resumption was lost");
}

// Two fibers take turns under the default scheduler, round robin.
void BM_Switch_FiberYield(benchmark::State& state) {
  std::uint64_t turns = 0;
  bool over = false;
  boost::fibers::fiber other([&] {
    while (!over) {
      ++turns;
      boost::this_fiber::yield();
    }
  });
  boost::fibers::fiber timed([&] {
    while (state.KeepRunningBatch(2)) boost::this_fiber::yield();
    over = true;
  });
  timed.join();
  other.join();
  const auto asked = static_cast<std::uint64_t>(state.iterations()) / 2;
  check(state, turns >= asked && turns <= asked + 2, "fibers did not take turns");
}

BENCHMARK(BM_Switch_Null);
BENCHMARK(ping_pong<futex_baton>)->Name("BM_Switch_Futex")->Apply(on_one_and_two_cpus);
BENCHMARK(ping_pong<condition_baton>)->Name("BM_Switch_ConditionVariable")->Apply(on_one_and_two_cpus);
BENCHMARK(ping_pong<pipe_baton>)->Name("BM_Switch_Pipe")->Apply(on_one_and_two_cpus);
BENCHMARK(ping_pong<eventfd_baton>)->Name("BM_Switch_Eventfd")->Apply(on_one_and_two_cpus);
BENCHMARK(BM_Switch_CoroutineResume);
BENCHMARK(BM_Switch_SymmetricTransfer);
BENCHMARK(handlers<by_post>)->Name("BM_Switch_AsioPost");
BENCHMARK(handlers<by_defer>)->Name("BM_Switch_AsioDefer");
BENCHMARK(BM_Switch_AsioDispatch);
BENCHMARK(BM_Switch_AsioCoroutinePost);
BENCHMARK(BM_Switch_AsioCoroutineCall);
BENCHMARK(BM_Switch_Context);
BENCHMARK(BM_Switch_FiberYield);

}  // namespace
}  // namespace echobench::bench
