// One client thread's share of the load: its connections to every target, schedule and recorders. Nothing
// here is shared with another worker; the coordinator calls and reads only while the worker's thread is
// between two jobs (except progress()).
#pragma once

#include "common/socket.hpp"
#include "loadgen/drive/drive_counts.hpp"
#include "loadgen/drive/drive_plan.hpp"
#include "loadgen/engine/epoll_engine.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/plan/schedule.hpp"
#include "loadgen/probe/run_queue_clock.hpp"
#include "loadgen/record/target_record.hpp"
#include "loadgen/session/client_session.hpp"
#include "loadgen/session/load_error.hpp"
#include "loadgen/session/message_plan.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace echobench {

// One connection (crr: one succession of connections) in recorded drives.
struct connection_counts {
  bool opened = false;
  std::uint64_t due = 0;  // open loop: requests that it was to carry
  std::uint64_t replies = 0;
};

class worker {
public:
  // Worker `number` of `asked.threads`, owning every connection i with i % threads == number. `plan` must
  // outlive it. `stop_fd` as for the engine.
  worker(const options& asked, const std::vector<endpoint>& targets, const message_plan& plan,
         std::size_t number, int stop_fd);

  // Opens the connections (crr: the idle ones) within --timeout each; those that fail are counted.
  void connect();

  // Drives one target until everything is answered or given up.
  void drive(const drive_plan& plan);

  // Takes what has arrived unasked since.
  void settle();

  const drive_counts& counts() const noexcept { return counts_; }
  const target_record& record(std::size_t target) const noexcept { return records_[target]; }
  std::size_t live(std::size_t target) const noexcept { return live_[target]; }  // connections not failed
  connection_counts of_connection(std::size_t target, std::size_t own) const noexcept;
  std::size_t own_connections() const noexcept { return own_; }
  std::size_t idle_opened(std::size_t target) const noexcept;
  clock::time_point last_connected(std::size_t target) const noexcept {
    return last_connected_[target];
  }  // rr
  bool stop_requested() const noexcept { return engine_.stop_requested(); }

  // Connections opened so far or replies of this drive so far, a little out of date; from any thread.
  std::uint64_t progress() const noexcept { return progress_.load(std::memory_order_relaxed); }

  // For the engine.
  std::span<const std::byte> pending(std::size_t slot, std::span<std::byte> scratch) const noexcept {
    return connections_[slot].session.pending(scratch);
  }
  void sent(std::size_t slot, std::size_t n) noexcept { connections_[slot].session.sent(n); }
  void on_connected(std::size_t slot);
  void on_bytes(std::size_t slot, std::span<const std::byte> bytes);
  void on_end(std::size_t slot);
  void on_error(std::size_t slot, int error);

private:
  enum class state : std::uint8_t { closed, connecting, open, failed };

  struct connection {
    client_session session;
    state status = state::closed;
    clock::time_point connect_started{};
    connection_counts counted{};
  };
  struct timing {
    clock::time_point intended;
    clock::time_point sent;
  };

  // Slots: those that carry requests, own_ of each target, then the idle ones, own_idle_ of each target.
  bool is_idle(std::size_t slot) const noexcept { return slot >= first_idle_; }
  std::size_t target_of(std::size_t slot) const noexcept {
    return is_idle(slot) ? (slot - first_idle_) / own_idle_ : slot / own_;
  }
  // Opened before the warm-up; in crr the others are opened for each request.
  bool is_kept(std::size_t slot) const noexcept { return !reconnects_ || is_idle(slot); }
  timing& timing_of(std::size_t slot, std::uint64_t sequence) noexcept {
    return timings_[slot * timing_slots_ + (sequence & (timing_slots_ - 1))];
  }
  bool can_issue(const connection& of) const noexcept {
    return of.status != state::failed && of.session.outstanding() < pipeline_;
  }
  bool is_measured(clock::time_point intended) const noexcept {
    return plan_.recorded && intended >= plan_.measure_from && intended < plan_.stop;
  }

  void start_connect(std::size_t slot, clock::time_point now);
  void issue(std::size_t slot, clock::time_point intended, clock::time_point now);
  void refill(std::size_t slot, clock::time_point now);
  bool has_backlog(std::size_t slot) const noexcept {
    return open_loop_ && schedules_[target_of(slot)].backlog(slot % own_) > 0;
  }
  std::uint64_t drop_backlog(std::size_t slot) noexcept {
    return open_loop_ && !is_idle(slot) ? schedules_[target_of(slot)].drop(slot % own_) : 0;
  }
  void release_due(clock::time_point now);
  void complete(std::size_t slot, const timing& request, clock::time_point now);
  void fail(std::size_t slot, load_error kind, int error = 0);
  void give_up(std::size_t first, std::size_t last, clock::time_point sent_before);
  void account_until(clock::time_point now);
  void wait_until(clock::time_point until);
  clock::time_point next_due() const noexcept;
  void start_parts();
  void end_part();
  void drain();
  void abandon();

  const message_plan& messages_;
  const std::vector<endpoint>& targets_;
  const std::size_t number_;
  const std::size_t threads_;
  const std::size_t own_;         // connections to each target that carry requests
  const std::size_t own_idle_;    // and that carry nothing
  const std::size_t first_idle_;  // slot
  const std::size_t pipeline_;
  const std::size_t timing_slots_;  // pipeline_ rounded up to a power of two
  const bool open_loop_;
  const bool reconnects_;  // crr
  const std::chrono::nanoseconds timeout_;
  const std::uint64_t connect_rate_;  // 0: unlimited
  const bool busy_poll_;

  epoll_engine engine_;
  std::vector<connection> connections_;  // by slot
  std::vector<timing> timings_;
  std::vector<endpoint> sources_;                 // empty: the system chooses
  std::vector<schedule> schedules_;               // one per target; open loop
  std::vector<std::chrono::nanoseconds> driven_;  // how long each target's schedule has run
  std::vector<target_record> records_;
  std::vector<std::size_t> live_;  // of those that carry requests
  std::vector<clock::time_point> last_connected_;

  drive_plan plan_;
  drive_counts counts_;
  std::size_t part_ = 0;
  clock::time_point part_end_;
  std::optional<run_queue_clock> run_queue_;  // of the worker's thread
  std::chrono::nanoseconds cpu_mark_{0};      // thread CPU time at the start of the part
  std::chrono::nanoseconds waiting_mark_{0};  // likewise
  clock::time_point next_sweep_;
  clock::time_point schedule_origin_;  // due times of the driven target count from here
  std::size_t in_flight_ = 0;          // requests without reply; while connecting, connections
  std::atomic<std::uint64_t> progress_{0};
};

}  // namespace echobench
