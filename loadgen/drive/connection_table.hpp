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
      own_[r] = {.whole = counts[r], .first = number, .stride = workers};
      first_[r + 1] = first_[r] + own_[r].size() * targets_;
    }
  }

  std::size_t size() const noexcept { return first_[roles]; }
  std::size_t targets() const noexcept { return targets_; }
  const share& own(role of) const noexcept { return own_[index(of)]; }
  std::size_t count(role of) const noexcept { return own(of).size(); }  // to each target

  std::size_t slot(role of, std::size_t target, std::size_t own) const noexcept {
    return first_[index(of)] + target * count(of) + own;
  }
  role role_of(std::size_t slot) const noexcept {
    return slot < first_[1] ? role::active : slot < first_[2] ? role::idle : role::slow;
  }
  std::size_t target_of(std::size_t slot) const noexcept {
    const role its = role_of(slot);
    return (slot - first_[index(its)]) / count(its);
  }
  // Among those of its role, target and worker.
  std::size_t own_index(std::size_t slot) const noexcept {
    const role its = role_of(slot);
    return (slot - first_[index(its)]) % count(its);
  }
  // Its number among all connections to its target: active ones first.
  std::size_t number_of(std::size_t slot) const noexcept {
    const role its = role_of(slot);
    const std::size_t before =
        (its > role::active ? own_[0].whole : 0) + (its > role::idle ? own_[1].whole : 0);
    return before + own(its).number_of(own_index(slot));
  }

private:
  static constexpr std::size_t roles = 3;
  static constexpr std::size_t index(role of) noexcept { return static_cast<std::size_t>(of); }

  std::size_t targets_;
  std::array<share, roles> own_;
  std::array<std::size_t, roles + 1> first_{};
};

}  // namespace echobench
