// When requests of the open loop are due, and which of those that were due wait for their connection.
//
// Due times are computed, never stored: they do not drift, however long a run and however late a request was
// sent, and a backlog of any length is two positions in a connection's stream.
#pragma once

#include "loadgen/plan/pacing.hpp"
#include "loadgen/plan/seeded.hpp"
#include "loadgen/plan/share.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

namespace echobench {

// One worker's part of a target's load.
struct schedule_share {
  std::uint64_t rate = 1;  // requests per second, of the whole target
  share connections;
  std::uint64_t seed = 0;  // poisson only
  bursts on_off{};
};

// Each connection has a stream of its own, which does not depend on how connections are divided over workers.
// Due times count from the target's first moment of load. uniform: request k of connection i of n is due at
// (k n + i) / rate seconds. poisson: gap k of connection i is exponential, a function of seed, i and k alone;
// together the connections are a Poisson process of `rate`. With bursts that is so of the time that is on,
// at a rate that makes up for the rest.
//
// Connections are counted within the worker.
class schedule {
public:
  using nanoseconds = std::chrono::nanoseconds;

  struct arrival {
    nanoseconds due;
    std::size_t connection;
  };

  schedule(arrivals kind, const schedule_share& of) : kind_(kind), share_(of) {
    const auto connections = of.connections.size();
    released_.resize(connections);
    for (std::size_t i = 0; i < connections; ++i) {
      if (kind_ == arrivals::poisson) released_[i].waited = gap(i, 0);
      upcoming_.push_back({due_of(i, released_[i]), i});
    }
    issued_ = released_;
    last_due_.resize(connections);
    if (kind_ == arrivals::poisson) std::ranges::make_heap(upcoming_, later);
  }

  // The next request to be due, of all connections.
  const arrival& next() const noexcept { return upcoming_[first_]; }

  // It is due: it joins its connection's backlog.
  void release() noexcept {
    arrival& upcoming = upcoming_[first_];
    const std::size_t connection = upcoming.connection;
    last_due_[connection] = upcoming.due;
    step(connection, released_[connection]);
    upcoming.due = due_of(connection, released_[connection]);
    if (kind_ == arrivals::poisson) {
      sink_first();
    } else {  // connections are due in turn
      first_ = first_ + 1 < upcoming_.size() ? first_ + 1 : 0;
    }
    ++backlog_;
  }

  // Requests due and not issued: of all connections, of one.
  std::uint64_t backlog() const noexcept { return backlog_; }
  std::uint64_t backlog(std::size_t connection) const noexcept {
    return released_[connection].index - issued_[connection].index;
  }

  // Takes the earliest of a connection's backlog, which must not be empty; returns when it was due.
  nanoseconds issue(std::size_t connection) noexcept {
    --backlog_;
    if (backlog(connection) == 1) {  // mostly: nothing to compute again
      issued_[connection] = released_[connection];
      return last_due_[connection];
    }
    const auto due = due_of(connection, issued_[connection]);
    step(connection, issued_[connection]);
    return due;
  }

  // Forgets a connection's backlog; returns how many there were.
  std::uint64_t drop(std::size_t connection) noexcept {
    const auto dropped = backlog(connection);
    issued_[connection] = released_[connection];
    backlog_ -= dropped;
    return dropped;
  }

private:
  static constexpr std::uint64_t ns_per_second = 1'000'000'000;

  // A place in a connection's stream.
  struct position {
    std::uint64_t index = 0;
    double waited = 0;  // poisson: ns until it is due, its gaps added up; exact to 1 ns for 100 days
  };

  // Order of a heap whose front is due first.
  static bool later(const arrival& a, const arrival& b) noexcept {
    return a.due != b.due ? a.due > b.due : a.connection > b.connection;
  }

  // The front of the heap has become later: it sinks to its place.
  void sink_first() noexcept {
    const arrival sinking = upcoming_.front();
    std::size_t at = 0;
    for (std::size_t child = 1; child < upcoming_.size(); child = 2 * at + 1) {
      if (child + 1 < upcoming_.size() && later(upcoming_[child], upcoming_[child + 1])) ++child;
      if (!later(sinking, upcoming_[child])) break;
      upcoming_[at] = upcoming_[child];
      at = child;
    }
    upcoming_[at] = sinking;
  }

  nanoseconds due_of(std::size_t connection, const position& at) const noexcept {
    if (kind_ == arrivals::poisson) return stretched(nanoseconds(std::llround(at.waited)));
    const std::uint64_t request = at.index * share_.connections.whole + number_of(connection);
    // Whole seconds apart, so that the product stays within 64 bits.
    return stretched(nanoseconds(request / share_.rate * ns_per_second +
                                 request % share_.rate * ns_per_second / share_.rate));
  }

  // What is due in a period is due in the part of it that is on.
  nanoseconds stretched(nanoseconds due) const noexcept {
    const auto& [on, off] = share_.on_off;
    if (off == nanoseconds(0)) return due;
    const auto within = static_cast<double>((due % (on + off)).count());
    const double share = static_cast<double>(on.count()) / static_cast<double>((on + off).count());
    return due / (on + off) * (on + off) + nanoseconds(static_cast<std::int64_t>(within * share));
  }

  void step(std::size_t connection, position& at) const noexcept {
    ++at.index;
    if (kind_ == arrivals::poisson) at.waited += gap(connection, at.index);
  }

  // ns between requests index - 1 and index.
  double gap(std::size_t connection, std::uint64_t index) const noexcept {
    return exponential(seeded_bits(share_.seed, number_of(connection), index)) * mean_gap_;
  }

  std::uint64_t number_of(std::size_t connection) const noexcept {
    return share_.connections.number_of(connection);
  }

  arrivals kind_;
  schedule_share share_;
  double mean_gap_ = static_cast<double>(share_.connections.whole) / static_cast<double>(share_.rate) *
                     static_cast<double>(ns_per_second);  // of a connection
  std::vector<position> released_;                        // of each connection: the first that is not due yet
  std::vector<position> issued_;       // the first that has not been issued; never beyond `released_`
  std::vector<nanoseconds> last_due_;  // of each connection: when the one before `released_` was due
  // The first of each connection that is not due yet; poisson: a heap, uniform: a ring that begins at
  // `first_`.
  std::vector<arrival> upcoming_;
  std::size_t first_ = 0;
  std::uint64_t backlog_ = 0;
};

}  // namespace echobench
