#include "loadgen/record/target_record.hpp"

#include <algorithm>

namespace echobench {

void kernel_times::merge(const kernel_times& other) noexcept {
  sending.merge(other.sending);
  outside.merge(other.outside);
  receiving.merge(other.receiving);
  client.merge(other.client);
  handshake.merge(other.handshake);
}

void kernel_times::clear() noexcept {
  for (histogram* times : {&sending, &outside, &receiving, &client, &handshake}) times->clear();
}

void target_record::merge(const target_record& other) {
  service.merge(other.service);
  response.merge(other.response);
  send_delay.merge(other.send_delay);
  connect.merge(other.connect);
  if (by_operation.size() < other.by_operation.size()) by_operation.resize(other.by_operation.size());
  for (std::size_t i = 0; i < other.by_operation.size(); ++i) by_operation[i].merge(other.by_operation[i]);
  if (other.kernel) {
    if (!kernel) kernel.emplace();
    kernel->merge(*other.kernel);
  }
  due_gaps.merge(other.due_gaps);
  sent_gaps.merge(other.sent_gaps);
  on_schedule += other.on_schedule;
  waiting_for_pipeline += other.waiting_for_pipeline;
  dropped += other.dropped;
  for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
    errors[kind] += other.errors[kind];
    if (first_errno[kind] == 0) first_errno[kind] = other.first_errno[kind];
  }
  faults.insert(faults.end(), other.faults.begin(), other.faults.end());
  std::ranges::stable_sort(faults, {}, &fault::at);
  if (faults.size() > faults_kept) faults.resize(faults_kept);
}

void target_record::clear() {
  for (histogram* times : {&service, &response, &send_delay, &connect}) times->clear();
  for (histogram& times : by_operation) times.clear();
  if (kernel) kernel->clear();
  due_gaps = sent_gaps = {};
  on_schedule = waiting_for_pipeline = dropped = 0;
  errors = {};
  first_errno = {};
  faults.clear();
}

}  // namespace echobench
