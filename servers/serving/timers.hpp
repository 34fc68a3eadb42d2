// Which connection of a loop is to be looked at when.
#pragma once

#include "servers/session/connection_state.hpp"

#include <boost/intrusive/set.hpp>

namespace echobench {

// By this part a connection stands in timers. It leaves them when it is destroyed.
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

// `Connection` has the base `timer` and a member `state`. A deadline mostly moves on with each message: a
// timer is only brought forward, and one that comes too early is set anew.
template <class Connection>
class timers {
public:
  using clock = connection_state::clock;

  // `never` when there is none.
  clock::time_point earliest() const noexcept {
    return all_.empty() ? connection_state::never : at(*all_.begin());
  }

  // The connection's deadline may have moved. On the thread of the loop, as everything here.
  void follow(Connection& who) {
    if (who.state.deadline() < at(who)) set(who, who.state.deadline());
  }
  void set(Connection& who, clock::time_point when) {
    timer& own = who;
    own.unlink();
    own.at_ = when;
    if (when != connection_state::never) all_.insert(who);
  }

  // Takes out one whose timer has come; nullptr when there is none.
  Connection* take_due(clock::time_point now) {
    if (earliest() > now) return nullptr;
    Connection& who = *all_.begin();
    set(who, connection_state::never);
    return &who;
  }

private:
  static clock::time_point at(const timer& of) noexcept { return of.at_; }

  boost::intrusive::multiset<Connection, boost::intrusive::base_hook<timer_hook>,
                             boost::intrusive::constant_time_size<false>>
      all_;
};

}  // namespace echobench
