// When requests of one worker's connections to one target are due, and which of those that were due wait for
// their connection. Connections are counted within the worker, 0 to connections - 1.
#pragma once

#include "loadgen/plan/drive_plan.hpp"
#include "loadgen/plan/pacing.hpp"
#include "loadgen/plan/share.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace echobench {

class pacer {
public:
  struct arrival {
    clock::time_point due;
    std::size_t connection;
  };

  virtual ~pacer() = default;

  // A drive of the target begins, and ends; between drives its time stands still.
  virtual void begin(const drive_plan& plan) = 0;
  virtual void end(clock::time_point stopped) = 0;

  // What becomes due by the clock next; due time_point::max(): nothing does.
  virtual arrival next() const noexcept = 0;
  // It is due: it joins what waits for its connection.
  virtual void release() noexcept = 0;

  // Whether something waits for the connection that may be sent now.
  virtual bool may_issue(std::size_t connection, clock::time_point now) const noexcept = 0;
  // Takes the earliest of it; returns when it was due.
  virtual clock::time_point issue(std::size_t connection, clock::time_point now) noexcept = 0;
  virtual void answered(std::size_t connection, clock::time_point now) noexcept = 0;

  // Requests that wait and must be sent however late: of all connections.
  virtual std::uint64_t backlog() const noexcept = 0;
  // Forgets what waits for a connection; returns how many of the backlog that were.
  virtual std::uint64_t drop(std::size_t connection) noexcept = 0;
};

// Requests are due when the last was answered and thought about: up to `pipeline` at a time on a connection.
std::unique_ptr<pacer> make_closed_pacer(const pacing& how, const share& part, std::size_t pipeline);

// Requests are due by a schedule at the rate of the drive, whatever the replies. A drive at another rate
// begins a schedule anew. All targets have the same arrivals.
std::unique_ptr<pacer> make_open_pacer(const pacing& how, const share& part);

}  // namespace echobench
