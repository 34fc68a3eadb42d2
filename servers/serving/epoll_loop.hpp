// A readiness loop on an epoll(7) set of its own: what its connections, its listeners and its wake event
// report.
#pragma once

#include "servers/serving/epoll_set.hpp"
#include "servers/serving/readiness_loop.hpp"

namespace echobench {

template <class Connection = readiness_connection>
class epoll_loop : public readiness_loop<Connection> {
public:
  using connection = Connection;

  // listener_events: EPOLLIN, and how it is reported if other sets have the listeners, too.
  epoll_loop(shared_by_loops& shared, unsigned index, std::uint32_t listener_events = EPOLLIN)
      : readiness_loop<Connection>(shared, index, pool_), listener_events_(listener_events) {
    if (!set_.control(EPOLL_CTL_ADD, this->wake_.fd(), EPOLLIN, &this->wake_)) {
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
    this->begin_accepting();
  }

protected:
  ~epoll_loop() = default;

  // Waits for reports, until `until` at the longest; calls ready(conn, events) for each connection that has
  // one, then attends to everything else.
  template <class Ready>
  void turn(Ready ready, connection_state::clock::time_point until = connection_state::never) {
    bool woken = false;
    bool acceptable = false;
    for (const epoll_event& report : set_.wait(reports_, std::min(until, this->wake_at()))) {
      if (report.data.ptr == &this->wake_) {
        woken = true;
      } else if (report.data.ptr == listeners_tag()) {
        acceptable = true;
      } else {
        ready(*static_cast<connection*>(report.data.ptr), report.events);
      }
    }
    this->attend(woken);
    if (acceptable) this->accept_available();
  }

  // Level-triggered.
  bool watch(connection& conn, interest what) noexcept override {
    const auto events = static_cast<std::uint32_t>(what);
    const int operation = conn.watched == interest::nothing ? EPOLL_CTL_ADD
                          : events == 0                     ? EPOLL_CTL_DEL
                                                            : EPOLL_CTL_MOD;
    return set_.control(operation, conn.socket.get(), events, &conn);
  }

  bool watch_listeners(bool wanted) noexcept override {
    return set_.control_all(wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, this->listeners_, listener_events_,
                            listeners_tag());
  }

  // With this tag a report means that there may be connections to accept.
  void* listeners_tag() noexcept { return this; }

  epoll_set set_;

private:
  const std::uint32_t listener_events_;
  epoll_reports reports_;
  buffer_pool pool_{buffer_pool::use::one_thread};
};

}  // namespace echobench
