// The deadlines of a loop's connections, in the order of their time.
#pragma once

#include "servers/session/connection_state.hpp"

#include <boost/intrusive/set.hpp>

namespace echobench {

// The part of a connection that is linked into timers. It leaves them when it is destroyed.
using timer_hook =
    boost::intrusive::set_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
class timer : public timer_hook {
public:
  friend bool operator<(const timer& a, const timer& b) noexcept { return a.at_ < b.at_; }

private:
  template <class Connection>
  friend class timers;
  connection_state::clock::time_point at_ = connection_state::never;
};

// `Connection` has the base `timer`. A deadline mostly moves on with each message: a timer is only brought
// forward, and one that comes too early is set anew.
template <class Connection>
class timers {
public:
  using clock = connection_state::clock;

  // `never` when there is none.
  clock::time_point earliest() const noexcept {
    return all_.empty() ? connection_state::never : at(*all_.begin());
  }

  // The connection's deadline may have moved. By one thread at a time, like everything here.
  void follow(Connection& conn, clock::time_point deadline) {
    if (deadline < at(conn)) set(conn, deadline);
  }
  void set(Connection& conn, clock::time_point when) {
    timer& hook = conn;
    hook.unlink();
    hook.at_ = when;
    if (when != connection_state::never) all_.insert(conn);
  }

  // Takes out a connection whose time has come; nullptr if there is none.
  Connection* take_due(clock::time_point now) {
    if (earliest() > now) return nullptr;
    Connection& conn = *all_.begin();
    set(conn, connection_state::never);
    return &conn;
  }

private:
  static clock::time_point at(const timer& hook) noexcept { return hook.at_; }

  boost::intrusive::multiset<Connection, boost::intrusive::base_hook<timer_hook>,
                             boost::intrusive::constant_time_size<false>>
      all_;
};

}  // namespace echobench
