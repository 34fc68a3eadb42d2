// A C++20 coroutine that serves a connection. It begins at once, waits by co_await, and its loop resumes it.
#pragma once

#include <coroutine>
#include <exception>
#include <utility>

namespace echobench {

// Owns the coroutine, and is not destroyed while that runs. False if there was no memory for it.
class connection_task {
public:
  struct promise_type;
  using handle = std::coroutine_handle<promise_type>;

  struct promise_type {
    connection_task get_return_object() noexcept { return connection_task(handle::from_promise(*this)); }
    static connection_task get_return_object_on_allocation_failure() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };

  connection_task() noexcept = default;
  connection_task(connection_task&& other) noexcept : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
  connection_task& operator=(connection_task&& other) noexcept {
    std::swap(coroutine_, other.coroutine_);
    return *this;
  }
  ~connection_task() {
    if (coroutine_) coroutine_.destroy();
  }

  explicit operator bool() const noexcept { return coroutine_ != nullptr; }
  bool done() const noexcept { return coroutine_.done(); }
  void resume() const { coroutine_.resume(); }

private:
  explicit connection_task(handle coroutine) noexcept : coroutine_(coroutine) {}

  handle coroutine_;
};

}  // namespace echobench
