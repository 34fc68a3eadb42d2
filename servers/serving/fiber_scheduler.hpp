// A scheduler of Boost.Fiber that sleeps in epoll_wait(2) when none of its thread's fibers can run, so that a
// fiber waits for a socket as a thread would.
#pragma once

#include "servers/serving/edges.hpp"
#include "servers/serving/epoll_set.hpp"
#include "servers/serving/guarded_stacks.hpp"
#include "servers/serving/listener.hpp"
#include "servers/session/connection_state.hpp"

#include <boost/fiber/algo/algorithm.hpp>
#include <boost/fiber/context.hpp>
#include <boost/fiber/scheduler.hpp>

#include <mutex>
#include <utility>
#include <vector>

namespace echobench {

namespace fibers = boost::fibers;

// A fiber that may wait, and what has been reported for it.
struct fiber_waiter : edges {
  fibers::context* fiber = nullptr;  // while it waits
  bool called = false;               // by call()
};

class fiber_scheduler final : public fibers::algo::algorithm {
public:
  fiber_scheduler() {
    if (!watch(wake_.fd(), EPOLLIN, nullptr))
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }

  // What happens to the socket is reported to `waiter`, as long as both exist. False if the system lacks
  // memory.
  bool watch(int fd, std::uint32_t events, fiber_waiter* waiter) noexcept {
    return set_.control(EPOLL_CTL_ADD, fd, events, waiter);
  }

  // ---- by a fiber of this thread

  // Boost.Fiber destroys fibers that have ended until its thread ends, and this scheduler afterwards.
  guarded_stacks& stacks() noexcept { return stacks_; }

  // Until somebody wakes it, or the time has come.
  void wait(fiber_waiter& waiter, connection_state::clock::time_point until) {
    waiter.fiber = fibers::context::active();
    until == connection_state::never ? waiter.fiber->suspend() : void(waiter.fiber->wait_until(until));
    waiter.fiber = nullptr;
  }
  void wake(fiber_waiter& waiter) noexcept {
    if (waiter.fiber == nullptr || waiter.fiber->ready_is_linked()) return;
    waiter.fiber->get_scheduler()->schedule(waiter.fiber);
  }
  // The other fibers run first, including those that are woken by what has come to their sockets.
  void let_others_run() {
    fibers::context::active()->ready_link(next_turn_);
    fibers::context::active()->suspend();
  }

  // ---- by any thread

  // Wakes the fiber if it waits; until then `waiter` must exist.
  void call(fiber_waiter& waiter) {
    {
      const std::lock_guard lock(mutex_);
      calls_.push_back(&waiter);
    }
    notify();
  }

  // ---- by Boost.Fiber

  void awakened(fibers::context* fiber) noexcept override { fiber->ready_link(ready_); }
  bool has_ready_fibers() const noexcept override { return !ready_.empty(); }
  fibers::context* pick_next() noexcept override {
    if (ready_.empty()) return nullptr;
    fibers::context* next = &ready_.front();
    ready_.pop_front();
    return next;
  }
  void suspend_until(const connection_state::clock::time_point& until) noexcept override {
    for (const epoll_event& report : set_.wait(reports_, next_turn_.empty() ? until : at_once)) {
      if (report.data.ptr == nullptr) {
        take_calls();
      } else {
        fiber_waiter& waiter = *static_cast<fiber_waiter*>(report.data.ptr);
        waiter.note(report.events);
        wake(waiter);
      }
    }
    ready_.splice(ready_.end(), next_turn_);
  }
  void notify() noexcept override { wake_.signal(); }

private:
  static constexpr connection_state::clock::time_point at_once{};

  void take_calls() {
    wake_.clear();
    const std::lock_guard lock(mutex_);
    for (fiber_waiter* waiter : std::exchange(calls_, {})) {
      waiter->called = true;
      wake(*waiter);
    }
  }

  guarded_stacks stacks_;
  epoll_set set_;
  epoll_reports reports_;
  wake_event wake_;
  fibers::scheduler::ready_queue_type ready_;
  fibers::scheduler::ready_queue_type next_turn_;
  std::mutex mutex_;
  std::vector<fiber_waiter*> calls_;  // guarded by mutex_
};

}  // namespace echobench
