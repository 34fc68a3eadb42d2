// What do 1 to 100,000 pending sleeps cost, and how late do they end? One iteration is one timer armed and
// cancelled while `pending` others stay armed (ArmCancel), one of `pending` timers that are due at the same
// time, armed and fired (Fire), or one sleep of 500 us (Sleep: the counters show how late it ended).
#include "bench/asio_loop.hpp"
#include "bench/support.hpp"
#include "common/process.hpp"
#include "common/socket.hpp"
#include "common/timespec.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/fixedsize_stack.hpp>
#include <boost/fiber/operations.hpp>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace echobench::bench {
namespace {

using clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// The floor: reading the clock, which a sleep does at least once.
void BM_Timer_Null(benchmark::State& state) {
  auto last = clock::now();
  bool forward = true;
  for (auto _ : state) {
    const auto now = clock::now();
    forward = forward && now >= last;
    last = now;
  }
  check(state, forward, "time went backwards");
}

// Spreads timers over a second, the same way in every run.
class spread {
public:
  std::chrono::microseconds operator()() { return std::chrono::microseconds(random_() % 1'000'000); }

private:
  std::minstd_rand random_;
};

// ---- one timer armed and cancelled, far from due, among others ----

// The loop's timer is set to the earliest of the others, so that no system call is made: a timer that becomes
// the earliest costs one timerfd_settime(2) more. A cancelled wait's handler runs, too.
void BM_Timer_AsioArmCancel(benchmark::State& state) {
  asio::io_context loop(1);
  const auto start = clock::now() + 1h;
  spread delay;
  std::vector<asio_timer> pending;
  pending.reserve(static_cast<std::size_t>(state.range(0)));
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    pending.emplace_back(loop, i == 0 ? start : start + delay());
    pending.back().async_wait([](boost::system::error_code) {});
  }
  std::array<clock::time_point, 100> expiries;
  for (auto& expiry : expiries) expiry = start + 1us + delay();
  asio_timer timer(loop);
  std::int64_t cancelled = 0;
  const auto run = [&]() -> awaitable {
    while (state.KeepRunningBatch(expiries.size())) {
      for (const auto& expiry : expiries) {
        timer.expires_at(expiry);
        timer.async_wait([&](boost::system::error_code error) {
          if (error == asio::error::operation_aborted) ++cancelled;
        });
        timer.cancel();
      }
      co_await asio::post(loop, asio::deferred);  // behind the handlers
    }
    loop.stop();
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  check(state, cancelled == state.iterations(), "a timer was not cancelled");
}

itimerspec once(std::chrono::nanoseconds after) {
  return {.it_interval = {}, .it_value = to_timespec(after)};
}

unique_fd make_timerfd(int flags = 0) {
  return unique_fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | flags));
}

// Every pending timer is a descriptor, so there are at most 10,000.
void BM_Timer_TimerfdArmCancel(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  if (raise_descriptor_limit() < n + 100) return unavailable(state, "too few descriptors");
  spread delay;
  std::vector<unique_fd> pending(n);
  bool right = true;
  for (auto& other : pending) {
    other = make_timerfd();
    const auto due = once(1h + delay());
    right = right && ::timerfd_settime(other.get(), 0, &due, nullptr) == 0;
  }
  const unique_fd timer = make_timerfd();
  const auto due = once(1h + 500ms);
  const auto never = once(0ns);
  itimerspec left{};
  for (auto _ : state) {
    right = right && ::timerfd_settime(timer.get(), 0, &due, nullptr) == 0 &&
            ::timerfd_settime(timer.get(), 0, &never, &left) == 0;
  }
  check(state, right && left.it_value.tv_sec >= 3'500, "a timer was not armed");
}

// ---- many due at the same time: each sleeper sleeps again, until a time that has passed already ----

// All begin to sleep before the loop looks at its timers, and all are due when it does.
void BM_Timer_AsioFire(benchmark::State& state) {
  asio::io_context loop(1);
  const auto start = clock::now();
  spread delay;
  std::int64_t woken = 0;
  bool over = false;
  const auto sleep = [&](asio_timer& timer) {
    timer.expires_at(start - delay());
    return timer.async_wait(asio::deferred);
  };
  const auto sleeper = [&]() -> awaitable {
    asio_timer timer(loop);
    while (!over) {
      co_await sleep(timer);
      ++woken;
    }
  };
  const auto timed = [&]() -> awaitable {
    asio_timer timer(loop);
    for (; state.KeepRunningBatch(state.range(0)); ++woken) co_await sleep(timer);
    over = true;
  };
  asio::co_spawn(loop, timed(), asio::detached);
  for (std::int64_t i = 1; i < state.range(0); ++i) asio::co_spawn(loop, sleeper(), asio::detached);
  loop.run();
  check(state, std::abs(woken - state.iterations()) <= state.range(0), "sleepers did not take turns");
}

// Armed when already due, each timer interrupts the processor.
void BM_Timer_TimerfdFire(benchmark::State& state) {
  const auto n = static_cast<std::size_t>(state.range(0));
  if (raise_descriptor_limit() < n + 100) return unavailable(state, "too few descriptors");
  const unique_fd poll(::epoll_create1(EPOLL_CLOEXEC));
  std::vector<unique_fd> timers(n);
  for (auto& timer : timers) {
    timer = make_timerfd(TFD_NONBLOCK);
    epoll_event interest{.events = EPOLLIN, .data = {.fd = timer.get()}};
    ::epoll_ctl(poll.get(), EPOLL_CTL_ADD, timer.get(), &interest);
  }
  const auto past = once(1ns);
  std::array<epoll_event, 512> events{};
  while (state.KeepRunningBatch(state.range(0))) {
    for (const auto& timer : timers) ::timerfd_settime(timer.get(), TFD_TIMER_ABSTIME, &past, nullptr);
    for (std::size_t fired = 0; fired < n;) {
      const int ready = ::epoll_wait(poll.get(), events.data(), events.size(), 1'000);
      if (ready <= 0) return wrong(state, "a timer did not fire");
      for (std::size_t i = 0; i < static_cast<std::size_t>(ready); ++i) {
        std::uint64_t times = 0;
        if (::read(events[i].data.fd, &times, sizeof times) == sizeof times && times == 1) ++fired;
      }
    }
  }
}

// Every pending sleep has a stack, so there are at most 10,000.
void BM_Timer_FiberFire(benchmark::State& state) {
  const auto start = clock::now();
  spread delay;
  std::int64_t woken = 0;
  bool over = false;
  const auto sleep = [&] {
    boost::this_fiber::sleep_until(start - delay());
    ++woken;
  };
  boost::fibers::fixedsize_stack small(std::size_t{16} << 10U);
  std::vector<boost::fibers::fiber> fibers;
  fibers.emplace_back(std::allocator_arg, small, [&] {
    while (state.KeepRunningBatch(state.range(0))) sleep();
    over = true;
  });
  for (std::int64_t i = 1; i < state.range(0); ++i) {
    fibers.emplace_back(std::allocator_arg, small, [&] {
      while (!over) sleep();
    });
  }
  for (auto& fiber : fibers) fiber.join();
  check(state, std::abs(woken - state.iterations()) <= state.range(0), "sleepers did not take turns");
}

// ---- how late a sleep ends, on an idle processor ----

constexpr auto nap = 500us;

class lateness {
public:
  // Returns the time until which to sleep, for the coroutine.
  clock::time_point fall_asleep() { return due_ = clock::now() + nap; }
  void wake_up() { late_.push_back(clock::now() - due_); }
  void report(benchmark::State& state) {
    std::sort(late_.begin(), late_.end());
    check(state, !late_.empty() && late_.front() >= 0ns, "a sleep ended early");
    const auto percentile = [&](std::size_t n) {
      return static_cast<double>(late_[(late_.size() * n + 99) / 100 - 1].count());
    };
    state.counters["late_p50_ns"] = percentile(50);
    state.counters["late_p99_ns"] = percentile(99);
  }

private:
  clock::time_point due_;
  std::vector<std::chrono::nanoseconds> late_;
};

template <class Sleep>
void take_naps(benchmark::State& state, const Sleep& sleep) {
  lateness late;
  for (auto _ : state) {
    late.fall_asleep();
    sleep();
    late.wake_up();
  }
  late.report(state);
}

// The kernel may end a thread's sleep later by up to its timer slack, to wake the processor less often: 50 us
// unless set to less (PR_SET_TIMERSLACK(2const)). Timerfds, and the loop that uses one, have no slack.
void BM_Timer_ThreadSleep(benchmark::State& state) {
  ::prctl(PR_SET_TIMERSLACK, state.range(0));
  take_naps(state, [] { std::this_thread::sleep_for(nap); });
  ::prctl(PR_SET_TIMERSLACK, 0);  // as it was before
}

void BM_Timer_EpollPwait2Sleep(benchmark::State& state) {
  const unique_fd nothing(::epoll_create1(EPOLL_CLOEXEC));
  const timespec timeout{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(nap).count()};
  epoll_event none{};
  if (::epoll_pwait2(nothing.get(), &none, 1, &timeout, nullptr) != 0) {
    return unavailable(state, std::string("epoll_pwait2: ") + std::strerror(errno));
  }
  take_naps(state, [&] { ::epoll_pwait2(nothing.get(), &none, 1, &timeout, nullptr); });
}

void BM_Timer_TimerfdSleep(benchmark::State& state) {
  const unique_fd timer = make_timerfd();
  const auto due = once(nap);
  take_naps(state, [&] {
    ::timerfd_settime(timer.get(), 0, &due, nullptr);
    std::uint64_t times = 0;
    [[maybe_unused]] const auto n = ::read(timer.get(), &times, sizeof times);
  });
}

void BM_Timer_AsioSleep(benchmark::State& state) {
  asio::io_context loop(1);
  lateness late;
  const auto run = [&]() -> awaitable {
    asio_timer timer(loop);
    for (auto _ : state) {
      timer.expires_at(late.fall_asleep());
      co_await timer.async_wait(asio::deferred);
      late.wake_up();
    }
  };
  asio::co_spawn(loop, run(), asio::detached);
  loop.run();
  late.report(state);
}

// With no fiber to run, the thread sleeps, with its slack.
void BM_Timer_FiberSleep(benchmark::State& state) {
  boost::fibers::fiber([&] { take_naps(state, [] { boost::this_fiber::sleep_for(nap); }); }).join();
}

void among(benchmark::internal::Benchmark* row, std::int64_t most) {
  row->ArgName("pending")->Arg(1)->Arg(1'000)->Arg(most);
}
void among_100000(benchmark::internal::Benchmark* row) { among(row, 100'000); }
void among_10000(benchmark::internal::Benchmark* row) { among(row, 10'000); }
void naps(benchmark::internal::Benchmark* row) {
  threaded(row);
  row->Iterations(100);
}

BENCHMARK(BM_Timer_Null);
BENCHMARK(BM_Timer_AsioArmCancel)->Apply(among_100000)->Iterations(200'000);
BENCHMARK(BM_Timer_TimerfdArmCancel)->Apply(among_10000)->Iterations(50'000);
BENCHMARK(BM_Timer_AsioFire)->Apply(among_100000)->Apply(threaded);
BENCHMARK(BM_Timer_TimerfdFire)->Apply(among_10000)->Apply(threaded);
BENCHMARK(BM_Timer_FiberFire)->Apply(among_10000)->Apply(threaded);
BENCHMARK(BM_Timer_ThreadSleep)->ArgName("slack_ns")->Arg(50'000)->Arg(1)->Apply(naps);
BENCHMARK(BM_Timer_EpollPwait2Sleep)->Apply(naps);
BENCHMARK(BM_Timer_TimerfdSleep)->Apply(naps);
BENCHMARK(BM_Timer_AsioSleep)->Apply(naps);
BENCHMARK(BM_Timer_FiberSleep)->Apply(naps);

}  // namespace
}  // namespace echobench::bench
