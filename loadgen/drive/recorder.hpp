// What one worker records of the requests that it makes.
#pragma once

#include "loadgen/drive/request_log.hpp"
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

class recorder {
public:
  // `operations`: of the mix; 1: they are not distinguished.
  // `kernel_times`: timed() will be called.
  recorder(std::size_t targets, std::size_t operations, bool kernel_times);

  void begin(const drive_plan& plan) {
    plan_ = plan;
    last_due_ = last_sent_ = {};
  }

  bool is_recorded() const noexcept { return plan_.recorded; }
  bool is_measured(clock::time_point intended) const noexcept {
    return plan_.recorded && intended >= plan_.measure_from && intended < plan_.stop;
  }

  // Open loop: the next request became due, at `intended`.
  void became_due(clock::time_point intended) noexcept {
    if (!is_measured(intended)) return;
    if (last_due_ != clock::time_point()) records_[plan_.target]->due_gaps.record(intended - last_due_);
    last_due_ = intended;
  }

  // Open loop: a request that was due at `intended` waits, because its connection's pipeline is full.
  void waits_for_pipeline(clock::time_point intended) noexcept {
    if (is_measured(intended)) ++records_[plan_.target]->waiting_for_pipeline;
  }

  // Open loop: a request was handed to the kernel. What it waited for the pipeline is the server's, the rest
  // is the client's.
  void handed_over(const request_times& of) noexcept {
    if (!is_measured(of.intended)) return;
    const auto delay = of.sent - of.ready;
    target_record& record = *records_[plan_.target];
    record.send_delay.record(delay);
    record.on_schedule += delay <= schedule_tolerance;
    if (last_sent_ != clock::time_point()) record.sent_gaps.record(of.sent - last_sent_);
    last_sent_ = of.sent;
  }

  // Returns the time that counts: from the intended send in the open loop, else from the actual one.
  std::chrono::nanoseconds replied(const request_times& of, std::uint32_t operation,
                                   clock::time_point now) noexcept {
    const auto counts = now - (plan_.open_loop() ? of.intended : of.sent);
    if (!is_measured(of.intended)) return counts;
    target_record& record = *records_[plan_.target];
    record.service.record(now - of.sent);
    if (plan_.open_loop()) record.response.record(counts);
    if (!record.by_operation.empty()) record.by_operation[operation].record(counts);
    return counts;
  }

  // The same request, by the kernel: sent, and its reply received.
  void timed(const request_times& of, clock::time_point sent, clock::time_point received,
             clock::time_point now) noexcept {
    const bool plausible = of.sent <= sent && sent <= received && received <= now;
    if (!plausible || !is_measured(of.intended)) return;
    kernel_times& times = *records_[plan_.target]->kernel;
    times.sending.record(sent - of.sent);
    times.outside.record(received - sent);
    times.receiving.record(now - received);
    times.client.record(now - of.sent - (received - sent));
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
  clock::time_point last_due_;  // of the measured requests of this drive; time_point(): of none yet
  clock::time_point last_sent_;
  std::vector<std::unique_ptr<target_record>> records_;
  std::atomic<target_record*> offered_{nullptr};   // owned by the thread that takes it out
  std::atomic<target_record*> returned_{nullptr};  // owned by the thread that takes it out
};

}  // namespace echobench
