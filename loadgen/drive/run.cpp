#include "loadgen/drive/run.hpp"

#include "common/cpu.hpp"
#include "loadgen/drive/ceiling.hpp"
#include "loadgen/drive/coordinator.hpp"
#include "loadgen/drive/fixed_load.hpp"
#include "loadgen/drive/rate_steps.hpp"
#include "loadgen/drive/reached_targets.hpp"

#include <optional>
#include <stdexcept>
#include <utility>

namespace echobench {
namespace {

measurement carry_out(coordinator& run) {
  run.connect();
  if (run.asked().sweep) {
    sweep_rates(run);
  } else if (!run.asked().objectives.empty()) {
    search_maximum_rates(run);
  } else {
    measure_fixed_load(run);
  }
  return run.finish();
}

}  // namespace

void take_cpus(const options& asked) try {
  if (!asked.cpus.empty()) restrict_to_cpus(asked.cpus);
} catch (const std::runtime_error& error) {
  throw std::invalid_argument("--cpus " + format_cpu_list(asked.cpus) + ": " + error.what());
}

measurement run(const options& asked) {
  take_cpus(asked);
  auto reached = reach_targets(asked);
  std::optional<client_ceiling> ceiling;
  if (asked.ceiling.count() > 0) ceiling = measure_ceiling(asked);
  coordinator run(asked, std::move(reached), ceiling);
  return carry_out(run);
}

measurement run_with(const options& asked, std::vector<reached_target> reached,
                     const backend_maker& make_backend, std::size_t processes) {
  coordinator run(asked, std::move(reached), {}, make_backend, processes);
  return carry_out(run);
}

}  // namespace echobench
