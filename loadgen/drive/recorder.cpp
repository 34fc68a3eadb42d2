#include "loadgen/drive/recorder.hpp"

namespace echobench {

void recorder::failed(std::size_t target, const fault& what) {
  target_record& own = records_[target];
  const auto kind = static_cast<std::size_t>(what.kind);
  ++own.errors[kind];
  if (own.first_errno[kind] == 0) own.first_errno[kind] = what.error;
  if (own.faults.size() < faults_told) own.faults.push_back(what);
}

}  // namespace echobench
