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

  // From any thread, which must not use the connection any more. Wakes the loop.
  void push(Connection& conn) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = connections_.empty();
      connections_.push_back(&conn);
    }
    if (first) wake_.signal();
  }

  // On the loop's thread: the connections that have come back since the last call.
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
