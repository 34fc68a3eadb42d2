// What one worker records of the requests that it makes.
#pragma once

#include "loadgen/plan/drive_plan.hpp"
#include "loadgen/record/target_record.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace echobench {

struct request_times {
  clock::time_point intended;
  clock::time_point sent;
};

class recorder {
public:
  // `operations`: of the mix; 1: they are not told apart.
  // `kernel_times`: timed() will be told.
  recorder(std::size_t targets, std::size_t operations, bool kernel_times);

  void begin(const drive_plan& plan) { plan_ = plan; }

  bool is_recorded() const noexcept { return plan_.recorded; }
  bool is_measured(clock::time_point intended) const noexcept {
    return plan_.recorded && intended >= plan_.measure_from && intended < plan_.stop;
  }

  // A request that became due at `intended` was taken in hand; its connection's pipeline may be full.
  void released(clock::time_point intended, clock::time_point now, bool pipeline_full) noexcept {
    if (!is_measured(intended)) return;
    target_record& own = *records_[plan_.target];
    own.send_delay.record(now - intended);
    own.on_schedule += now - intended <= schedule_tolerance;
    own.waiting_for_pipeline += pipeline_full;
  }

  // Returns the time that counts: from the intended send in the open loop, else from the actual one.
  std::chrono::nanoseconds replied(const request_times& of, std::uint32_t operation,
                                   clock::time_point now) noexcept {
    const auto counts = now - (plan_.open_loop() ? of.intended : of.sent);
    if (!is_measured(of.intended)) return counts;
    target_record& own = *records_[plan_.target];
    own.service.record(now - of.sent);
    if (plan_.open_loop()) own.response.record(counts);
    if (!own.by_operation.empty()) own.by_operation[operation].record(counts);
    return counts;
  }

  // The same request, by the kernel: sent, and its reply received.
  void timed(const request_times& of, clock::time_point sent, clock::time_point received,
             clock::time_point now) noexcept {
    const bool plausible = of.sent <= sent && sent <= received && received <= now;
    if (!plausible || !is_measured(of.intended)) return;
    kernel_times& own = *records_[plan_.target]->kernel;
    own.sending.record(sent - of.sent);
    own.outside.record(received - sent);
    own.receiving.record(now - received);
    own.client.record(now - of.sent - (received - sent));
  }
  void shook_hands(std::size_t target, std::chrono::microseconds took) noexcept {
    if (took.count() > 0 && records_[target]->kernel) records_[target]->kernel->handshake.record(took);
  }

  void dropped(std::size_t target, std::uint64_t requests) noexcept { records_[target]->dropped += requests; }
  void connected(std::size_t target, std::chrono::nanoseconds took) noexcept {
    records_[target]->connect.record(took);
  }
  void failed(std::size_t target, const fault& what);

  // Exchanges what was recorded of a target for `cleared`. While nothing is driven:
  std::unique_ptr<target_record> exchange(std::size_t target,
                                          std::unique_ptr<target_record> cleared) noexcept;

  // While it is driven, from another thread: the exchange is made when the worker calls make_exchange() next.
  // Returns empty when that is not within `patience`.
  std::unique_ptr<target_record> exchange_driven(std::unique_ptr<target_record> cleared,
                                                 std::chrono::nanoseconds patience);
  void make_exchange() noexcept {
    if (offered_.load(std::memory_order_relaxed) != nullptr) exchange_offered();
  }

  std::unique_ptr<target_record> make_record() const;

private:
  void exchange_offered() noexcept;

  const std::size_t operations_;
  const bool kernel_times_;
  drive_plan plan_;
  std::vector<std::unique_ptr<target_record>> records_;
  std::atomic<target_record*> offered_{nullptr};   // owned by whoever takes it out
  std::atomic<target_record*> returned_{nullptr};  // likewise
};

}  // namespace echobench
