// Processes that serve together: for models that have a process where others have a thread.
#pragma once

#include "common/socket.hpp"
#include "servers/session/server_totals.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

namespace echobench {

// What a child is given.
struct child_process {
  unsigned index;
  server_totals& totals;               // its parent's, too: what has been counted outlives the child
  std::stop_token stop;                // requested by SIGTERM, in a handler, while stop_on_signal::allowed
  const std::function<void()>& ready;  // to be called when the child has all that it needs, before it serves
};

class child_processes {
public:
  // Returns when the child has been stopped. An exception ends the child.
  using serve_function = std::function<void(const child_process&)>;

  // Forks n children, which are killed when this process ends, however that happens; it must have one thread.
  // Returns when all are ready. Throws std::system_error if the system gives too few, and std::runtime_error
  // with what a child has thrown before it was ready.
  child_processes(unsigned n, serve_function serve);
  child_processes(const child_processes&) = delete;
  child_processes& operator=(const child_processes&) = delete;
  ~child_processes();

  // Returns when the server has been stopped, by a handler. Until then a child that ends by itself is
  // counted, and another one takes its place after a pause.
  void replace_until(const std::stop_token& stop);
  // Stops all, and returns when they have ended: what each place has counted. A child that has not ended some
  // seconds after the drain time-out is killed: it may be suspended.
  std::span<const server_totals> stop(std::chrono::nanoseconds drain_timeout);

private:
  struct unmap {
    std::size_t bytes;
    void operator()(server_totals* totals) const noexcept;
  };

  child_processes(serve_function serve, unsigned n);
  void start(std::size_t index);
  [[noreturn]] void become_child(std::size_t index, unique_fd to_parent) noexcept;
  void wait_for_an_end() const;
  void replace_ended();

  serve_function serve_;
  std::vector<pid_t> pids_;  // `nobody` where a place is empty
  std::unique_ptr<server_totals, unmap> totals_;
};

}  // namespace echobench
