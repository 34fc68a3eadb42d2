// What every kind of run is made of: the backend, the servers' accounts, and the cells that a run fills.
//
// A cell is what is measured of one target at one load: begin(), then slices or windows, then end(), and when
// nothing more of it comes conclude(). Cells of different targets may be open at a time.
#pragma once

#include "loadgen/drive/backend.hpp"
#include "loadgen/plan/options.hpp"
#include "loadgen/plan/slice_plan.hpp"
#include "loadgen/probe/server_accounting.hpp"
#include "loadgen/probe/server_check.hpp"
#include "loadgen/probe/system_counters.hpp"
#include "loadgen/record/measurement.hpp"
#include "loadgen/report/interval_file.hpp"
#include "loadgen/report/progress_line.hpp"
#include "loadgen/session/message_plan.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace echobench {

class coordinator {
public:
  // `reached`: the address of each target. `processes`: over which make_backend divides the connections.
  // Throws std::invalid_argument when an option does not fit what was found (server, descriptors, engine),
  // std::system_error or std::runtime_error when the run cannot be done.
  coordinator(const options& asked, std::vector<reached_target> reached,
              std::optional<client_ceiling> ceiling = {}, const backend_maker& make_backend = {},
              std::size_t processes = 1);

  const options& asked() const noexcept { return asked_; }
  std::size_t targets() const noexcept { return asked_.targets.size(); }
  measurement& result() noexcept { return result_; }
  progress_line& progress() noexcept { return progress_; }

  bool stopped() const { return backend_->stop_requested(); }
  bool is_live(std::size_t target) const { return backend_->live(target) > 0; }
  std::size_t lost(std::size_t target) const {  // connections that were to carry requests and have failed
    return asked_.load.connections - backend_->live(target);
  }
  bool goes_on() const;  // not stopped, and a target is live

  void connect();
  // Drives a target that is not measured; rate 0: in a closed loop.
  warmup_seen warm_up(std::size_t target, std::uint64_t rate, std::chrono::nanoseconds length);

  // Returns its number. `target`, `rate` as for warm_up().
  std::size_t add_cell(std::size_t target, std::uint64_t rate);
  cell& of(std::size_t number) noexcept { return result_.cells[number]; }
  void begin(std::size_t number);
  // One slice, of that round.
  void drive_slice(std::size_t number, std::size_t round, const slice_plan& plan);
  // Without a break, accounted by windows; the settling time comes first and is not counted. Each window is a
  // slice; where the server's CPU time is read, which is done once a second, so many are as lie between two
  // readings. Returns the number of slices.
  std::size_t drive_windows(std::size_t number, std::chrono::nanoseconds duration, std::size_t windows,
                            std::chrono::nanoseconds settling);
  void end(std::size_t number);
  void conclude(std::size_t number);
  void forget_counters();  // what the system has counted so far is not of the cells that follow

  void settle() { backend_->settle(); }
  void forget_undriven();  // the cells that were not driven, of a run that was broken off
  measurement finish();    // once, at the end

private:
  // What is kept for the cell of the same number, in addition to the cell itself.
  struct cell_accounting {
    std::size_t target = 0;
    std::uint64_t rate = 0;
    std::optional<server_accounting> server;
    clock::time_point begun{};
    std::optional<clock::time_point> interval_begun;  // of what has been driven and is not in an interval yet
    std::chrono::nanoseconds interval_driven{0};
    clock::time_point driven_to{};  // until then it is in interval_driven
  };

  // While the target is driven: takes intervals when they end, and the server's CPU time at those moments.
  // Returns as many readings as were made before the drive was broken off.
  std::vector<std::chrono::nanoseconds> watch(std::size_t number, const drive_plan& drive,
                                              const std::vector<clock::time_point>& readings);
  void extend_interval(std::size_t number, const drive_plan& drive, clock::time_point now);
  void report_interval(std::size_t number, const target_record& recorded, clock::time_point now);
  void end_drive(std::size_t number, const drive_plan& drive, const std::vector<drive_counts>& workers);
  void add_drive(std::size_t number, const drive_plan& plan, const std::vector<drive_counts>& workers);
  drive_plan plan_of(std::size_t number) const;

  const options& asked_;
  const std::vector<reached_target> reached_;
  const engine_choice io_;
  const load_spec load_;
  const unique_fd stop_fd_;
  const payload_pool pool_;
  const message_plan messages_;
  std::vector<std::optional<server_accounting>> servers_;  // of each target, before anything connected
  std::vector<server_check> checks_;                       // whether they are what listens there
  std::vector<cell_accounting> accounting_;
  clock::time_point origin_;
  system_counters counters_;  // when the last cell ended, at first before anything connected
  clock::time_point counters_read_;
  target_record taken_;  // empty between two uses
  interval_file intervals_;
  progress_line progress_;
  measurement result_;
  std::unique_ptr<backend> backend_;  // last: its threads use what stands above
};

}  // namespace echobench
