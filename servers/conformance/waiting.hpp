// For tests: waiting, on machines that may be slow and busy.
#pragma once

#include "servers/conformance/server_process.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

namespace echobench::testing {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

#ifdef __SANITIZE_THREAD__
inline constexpr bool thread_sanitized = true;
#else
inline constexpr bool thread_sanitized = false;
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

template <class Condition>
bool eventually(Condition condition) {
  for (const auto end = steady_clock::now() + patience; steady_clock::now() < end;
       std::this_thread::sleep_for(5ms)) {
    if (condition()) return true;
  }
  return condition();
}

// For what a busy machine may prevent: to happen once is proof enough.
template <class Attempt>
bool in_one_of_several(Attempt attempt) {
  for (int i = 0; i < 20; ++i) {
    if (attempt()) return true;
  }
  return false;
}

// How long a server is watched that should use no CPU time.
inline constexpr auto quiet_time = 300ms;

// Whether the server wanted hardly any CPU time during interval(), which takes quiet_time or more. A thread
// that spins wants a whole CPU, however little of it the thread gets while other programs are busy. Processes
// count together; under ThreadSanitizer, whose own thread in each of them wakes ten times a second, each by
// itself.
template <class Interval>
bool rested_while(const server_process& server, Interval interval) {
  constexpr double share = 0.2;  // of one CPU; some ten short wake-ups may each wait for the CPU
  const auto before = server.processes().cpu_wanted();
  const auto begin = steady_clock::now();
  interval();
  const auto lasted = steady_clock::now() - begin;
  std::chrono::nanoseconds all{0};
  std::chrono::nanoseconds most{0};
  for (const auto& [pid, wanted] : server.processes().cpu_wanted()) {
    const auto was = before.find(pid);
    const auto during = was == before.end() ? wanted : wanted - was->second;
    all += during;
    most = std::max(most, during);
  }
  return (thread_sanitized ? most : all) < lasted * share;
}

// The server may settle first: one quiet interval is enough, because a thread that spins has none.
template <class Interval>
bool rests_while(const server_process& server, Interval interval) {
  return in_one_of_several([&] { return rested_while(server, interval); });
}

}  // namespace echobench::testing
