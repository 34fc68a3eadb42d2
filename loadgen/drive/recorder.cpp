#include "loadgen/drive/recorder.hpp"

#include <thread>
#include <utility>

namespace echobench {

recorder::recorder(std::size_t targets, std::size_t operations, bool kernel_times)
    : operations_(operations), kernel_times_(kernel_times) {
  while (records_.size() < targets) records_.push_back(make_record());
}

void recorder::failed(std::size_t target, const fault& what) {
  target_record& record = *records_[target];
  const auto kind = static_cast<std::size_t>(what.kind);
  ++record.errors[kind];
  if (record.first_errno[kind] == 0) record.first_errno[kind] = what.error;
  if (record.faults.size() < faults_kept) record.faults.push_back(what);
}

std::unique_ptr<target_record> recorder::exchange(std::size_t target,
                                                  std::unique_ptr<target_record> cleared) noexcept {
  return std::exchange(records_[target], std::move(cleared));
}

std::unique_ptr<target_record> recorder::exchange_driven(std::unique_ptr<target_record> cleared,
                                                         std::chrono::nanoseconds patience) {
  offered_.store(cleared.release(), std::memory_order_release);
  const auto end = clock::now() + patience;
  target_record* filled = nullptr;
  // A worker that has nothing to do may sleep for a good part of a second; meanwhile this thread should not
  // wake often on what may be its CPU.
  std::chrono::nanoseconds nap = std::chrono::microseconds(200);
  while ((filled = returned_.exchange(nullptr, std::memory_order_acquire)) == nullptr && clock::now() < end) {
    std::this_thread::sleep_for(nap);
    nap = std::min<std::chrono::nanoseconds>(2 * nap, std::chrono::milliseconds(10));
  }
  if (filled != nullptr) return std::unique_ptr<target_record>(filled);
  const std::unique_ptr<target_record> withdrawn(offered_.exchange(nullptr, std::memory_order_acquire));
  if (withdrawn) return nullptr;
  while ((filled = returned_.exchange(nullptr, std::memory_order_acquire)) == nullptr)
    std::this_thread::yield();
  return std::unique_ptr<target_record>(filled);
}

std::unique_ptr<target_record> recorder::make_record() const {
  auto made = std::make_unique<target_record>();
  if (operations_ > 1) made->by_operation.resize(operations_);
  if (kernel_times_) made->kernel.emplace();
  return made;
}

void recorder::exchange_offered() noexcept {
  std::unique_ptr<target_record> cleared(offered_.exchange(nullptr, std::memory_order_acquire));
  if (!cleared) return;  // withdrawn
  returned_.store(exchange(plan_.target, std::move(cleared)).release(), std::memory_order_release);
}

}  // namespace echobench
