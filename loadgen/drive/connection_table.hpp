// The connections of one worker by slot, as its transport knows them: to each target those that carry
// requests, then to each target those that are idle, then those that read slowly.
#pragma once

#include "loadgen/plan/load_spec.hpp"
#include "loadgen/plan/share.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace echobench {

enum class role : std::uint8_t { active, idle, slow };

class connection_table {
public:
  // Worker `number` of `workers`.
  connection_table(const load_spec& load, std::size_t number, std::size_t workers) noexcept
      : targets_(load.targets.size()) {
    const std::array counts{load.connections, load.idle_connections, load.slow_readers};
    for (std::size_t r = 0; r < roles; ++r) {
      // Those left over go to the first workers.
      parts_[r] = {.whole = counts[r], .first = number, .stride = workers};
      first_[r + 1] = first_[r] + parts_[r].size() * targets_;
    }
  }

  std::size_t size() const noexcept { return first_[roles]; }
  std::size_t targets() const noexcept { return targets_; }
  // This worker's part of the connections of a role to one target.
  const share& part(role of) const noexcept { return parts_[index(of)]; }
  std::size_t count(role of) const noexcept { return part(of).size(); }  // to each target

  std::size_t slot(role of, std::size_t target, std::size_t number) const noexcept {
    return first_[index(of)] + target * count(of) + number;
  }
  role role_of(std::size_t slot) const noexcept {
    return slot < first_[1] ? role::active : slot < first_[2] ? role::idle : role::slow;
  }
  std::size_t target_of(std::size_t slot) const noexcept {
    const role kind = role_of(slot);
    return (slot - first_[index(kind)]) / count(kind);
  }
  // Among those of its role, target and worker.
  std::size_t local_index(std::size_t slot) const noexcept {
    const role kind = role_of(slot);
    return (slot - first_[index(kind)]) % count(kind);
  }
  // Its number among all connections to its target: active ones first.
  std::size_t number_of(std::size_t slot) const noexcept {
    const role kind = role_of(slot);
    const std::size_t before =
        (kind > role::active ? parts_[0].whole : 0) + (kind > role::idle ? parts_[1].whole : 0);
    return before + part(kind).number_of(local_index(slot));
  }

private:
  static constexpr std::size_t roles = 3;
  static constexpr std::size_t index(role of) noexcept { return static_cast<std::size_t>(of); }

  std::size_t targets_;
  std::array<share, roles> parts_;
  std::array<std::size_t, roles + 1> first_{};
};

}  // namespace echobench
