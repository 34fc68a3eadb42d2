#include "loadgen/record/target_record.hpp"

namespace echobench {

void target_record::merge(const target_record& other) noexcept {
  service.merge(other.service);
  response.merge(other.response);
  lag.merge(other.lag);
  connect.merge(other.connect);
  on_schedule += other.on_schedule;
  unsent += other.unsent;
  for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
    errors[kind] += other.errors[kind];
    if (first_errno[kind] == 0) first_errno[kind] = other.first_errno[kind];
  }
}

}  // namespace echobench
