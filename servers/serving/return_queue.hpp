// Connections that come back to their loop from other threads.
#pragma once

#include "servers/serving/listener.hpp"

#include <mutex>
#include <vector>

namespace echobench {

template <class Connection>
class return_queue {
public:
  explicit return_queue(const wake_event& wake) noexcept : wake_(wake) {}

  // From any thread, and the last that it does with the connection. The loop is woken.
  void push(Connection& who) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = connections_.empty();
      connections_.push_back(&who);
    }
    if (first) wake_.signal();
  }

  // On the loop's thread: those that have come back since the last time.
  std::vector<Connection*> take() {
    std::vector<Connection*> taken;
    const std::lock_guard lock(mutex_);
    taken.swap(connections_);
    return taken;
  }

private:
  const wake_event& wake_;
  std::mutex mutex_;
  std::vector<Connection*> connections_;  // guarded by mutex_
};

}  // namespace echobench
