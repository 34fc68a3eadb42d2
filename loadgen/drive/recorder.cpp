#include "loadgen/drive/recorder.hpp"

#include <utility>

namespace echobench {

recorder::recorder(std::size_t targets, std::size_t operations) : operations_(operations) {
  records_.reserve(targets);
  while (records_.size() < targets) records_.push_back(empty());
}

void recorder::failed(std::size_t target, const fault& what) {
  target_record& own = records_[target];
  const auto kind = static_cast<std::size_t>(what.kind);
  ++own.errors[kind];
  if (own.first_errno[kind] == 0) own.first_errno[kind] = what.error;
  if (own.faults.size() < faults_told) own.faults.push_back(what);
}

target_record recorder::take(std::size_t target) { return std::exchange(records_[target], empty()); }

target_record recorder::empty() const {
  target_record made;
  if (operations_ > 1) made.by_operation.resize(operations_);
  return made;
}

}  // namespace echobench
