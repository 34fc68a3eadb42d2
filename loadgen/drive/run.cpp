#include "loadgen/drive/run.hpp"

#include "common/cpu.hpp"
#include "loadgen/drive/ceiling.hpp"
#include "loadgen/drive/conductor.hpp"
#include "loadgen/drive/fixed_load.hpp"
#include "loadgen/drive/rate_steps.hpp"

namespace echobench {

measurement run(const options& asked) {
  if (!asked.cpus.empty()) restrict_to_cpus(asked.cpus);
  const auto ceiling =
      asked.ceiling.count() > 0 ? std::optional(measure_ceiling(asked)) : std::optional<client_ceiling>();
  conductor run(asked, ceiling);
  run.connect();
  if (asked.sweep) {
    sweep_rates(run);
  } else if (!asked.objectives.empty()) {
    search_knees(run);
  } else {
    measure_fixed_load(run);
  }
  return run.finish();
}

}  // namespace echobench
