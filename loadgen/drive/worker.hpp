// One client thread's share of the load: its connections to every target, and what becomes of them. Nothing
// here is shared with another worker; the backend calls and reads only while the worker's thread is between
// two jobs (except progress()).
//
// A worker brings together what can be looked at alone: a transport that moves bytes, sessions that know the
// protocol, pacers that say when a request is due, a log of those in flight, a recorder, a clock that says
// where the time went, and when to connect, to read slowly, to look for time-outs and to wake up.
#pragma once

#include "loadgen/drive/connect_order.hpp"
#include "loadgen/drive/connection_table.hpp"
#include "loadgen/drive/pacer.hpp"
#include "loadgen/drive/part_clock.hpp"
#include "loadgen/drive/recorder.hpp"
#include "loadgen/drive/request_log.hpp"
#include "loadgen/drive/sleep_margin.hpp"
#include "loadgen/drive/throttled_reads.hpp"
#include "loadgen/drive/timeout_checks.hpp"
#include "loadgen/plan/load_spec.hpp"
#include "loadgen/record/connection_counts.hpp"
#include "loadgen/session/client_session.hpp"
#include "loadgen/session/message_plan.hpp"
#include "loadgen/transport/transport.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace echobench {

class worker final : public transport_events {
public:
  // Worker `number` of `workers`. `load` and `messages` must outlive it. Faults are timed from `origin`.
  // `stop_fd` as for the transport.
  worker(const load_spec& load, const message_plan& messages, std::size_t number, std::size_t workers,
         int stop_fd, clock::time_point origin);

  // The calling thread is the worker's from now on.
  void enter() { transport_->enter(); }

  // Opens the connections (crr: the idle ones) within the time-out each; those that fail are counted.
  void connect();

  // Drives one target until everything is answered or given up.
  void drive(const drive_plan& plan);

  // Takes what has arrived unasked since.
  void settle();

  const drive_counts& counts() const noexcept { return time_.counts(); }
  recorder& records() noexcept { return recorder_; }
  std::size_t live(std::size_t target) const noexcept { return live_[target]; }  // connections not failed
  const connection_table& table() const noexcept { return table_; }
  connection_counts take_counts(std::size_t slot) noexcept;
  clock::time_point last_connected(std::size_t target) const noexcept {
    return last_connected_[target];
  }  // rr
  bool stop_requested() const noexcept { return transport_->stop_requested(); }

  // Connections opened so far or replies of this drive so far, a little out of date; from any thread.
  std::uint64_t progress() const noexcept { return progress_.load(std::memory_order_relaxed); }

private:
  enum class state : std::uint8_t { closed, connecting, open, failed };

  struct connection {
    client_session session;
    std::uint32_t target;
    std::uint32_t index;  // among those of its role, target and worker
    role kind;
    state status = state::closed;
    clock::time_point connect_started{};
    clock::time_point room_since{};  // when a reply made room in its full pipeline
    std::uint64_t handed_over = 0;   // requests of which the kernel has been given a byte at least
    connection_counts counted{};
  };

  // For the transport.
  std::span<const std::byte> pending(std::size_t slot, std::span<std::byte> scratch) noexcept override;
  void taken(std::size_t slot, std::size_t n) noexcept override;
  void handed_over(std::size_t slot, std::size_t n, clock::time_point when) noexcept override;
  void given_back(std::size_t slot, std::size_t n) noexcept override;
  void on_connected(std::size_t slot) override;
  void on_kernel_times(std::size_t slot, clock::time_point sent, clock::time_point received) override;
  void on_bytes(std::size_t slot, std::span<const std::byte> bytes, clock::time_point arrived) override;
  void on_end(std::size_t slot) override;
  void on_error(std::size_t slot, int error) override;

  // Opened before the warm-up; in crr those that carry requests are opened for each.
  bool is_kept(const connection& conn) const noexcept { return !reconnects_ || conn.kind != role::active; }
  bool pipeline_full(const connection& conn) const noexcept {
    return conn.session.outstanding() >= load_.pipeline;
  }
  // Its bytes count: neither a slow reader's, nor those that come late from another target.
  bool is_measured(const connection& conn) const noexcept {
    return time_.driving() && conn.kind == role::active && conn.target == plan_.target;
  }
  pacer& pace() noexcept { return *pace_; }

  const endpoint* source_of(std::size_t slot) const noexcept;  // null: the system chooses
  void start_connect(std::size_t slot, clock::time_point now);
  void issue(std::size_t slot, clock::time_point now);
  void refill(std::size_t slot, clock::time_point now);
  void release_due(clock::time_point by, clock::time_point now);
  void count_due(connection& conn) noexcept;
  void gather(clock::time_point& now);
  void complete(connection& conn, const request_times& request, std::uint32_t operation,
                clock::time_point now);
  void fail(std::size_t slot, load_error kind, int error = 0);
  std::uint64_t drop(connection& conn) noexcept;
  void check_timeouts(clock::time_point now);
  void read_slowly(clock::time_point now);
  void wait_until(clock::time_point until);
  void drain();
  void abandon();

  const load_spec& load_;
  const message_plan& messages_;
  const connection_table table_;
  const bool reconnects_;  // crr
  const clock::time_point origin_;

  std::unique_ptr<transport> transport_;
  std::vector<connection> connections_;         // by slot
  request_log requests_;                        // of active slots
  std::vector<std::unique_ptr<pacer>> closed_;  // one per target
  std::vector<std::unique_ptr<pacer>> open_;    // one per target
  std::vector<std::size_t> live_;               // of those that carry requests
  std::vector<clock::time_point> last_connected_;
  recorder recorder_;
  part_clock time_;

  drive_plan plan_;
  std::size_t first_ = 0;  // slots of the driven target that carry requests
  std::size_t last_ = 0;
  pacer* pace_ = nullptr;  // of the driven target and loop
  timeout_checks timeouts_;
  throttled_reads slow_reads_;
  sleep_margin margin_;
  clock::time_point gathering_since_ = clock::time_point::max();  // the first of the sends that wait
  clock::time_point kernel_sent_;                                 // of the bytes that come next
  clock::time_point kernel_received_;
  std::size_t in_flight_ = 0;  // requests without reply; while connecting, connections
  std::atomic<std::uint64_t> progress_{0};
};

}  // namespace echobench
