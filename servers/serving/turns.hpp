// The turns of event loops: how often a thread asked the kernel which of its connections are ready. A turn
// that finds many spreads the cost of asking over them, so that requests per turn explain what a request
// costs.
#pragma once

#include <atomic>
#include <cstdint>

namespace echobench {

// Of one thread; an end of the thread adds them to those that ended before.
class thread_turns {
public:
  constexpr thread_turns() noexcept = default;
  thread_turns(const thread_turns&) = delete;
  thread_turns& operator=(const thread_turns&) = delete;
  ~thread_turns() { of_ended_threads.fetch_add(count_, std::memory_order_relaxed); }

  void add() noexcept { ++count_; }

  // Of the calling thread and of all that have ended.
  static std::uint64_t total() noexcept;

private:
  static inline std::atomic<std::uint64_t> of_ended_threads{0};

  std::uint64_t count_ = 0;
};

inline thread_local thread_turns turns_of_this_thread;

inline std::uint64_t thread_turns::total() noexcept {
  return of_ended_threads.load(std::memory_order_relaxed) + turns_of_this_thread.count_;
}

}  // namespace echobench
