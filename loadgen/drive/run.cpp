#include "loadgen/drive/run.hpp"

#include "common/cpu.hpp"
#include "loadgen/drive/ceiling.hpp"
#include "loadgen/drive/conductor.hpp"
#include "loadgen/drive/fixed_load.hpp"
#include "loadgen/drive/rate_steps.hpp"

#include <optional>

namespace echobench {
namespace {

measurement conduct(conductor& run) {
  run.connect();
  if (run.asked().sweep) {
    sweep_rates(run);
  } else if (!run.asked().objectives.empty()) {
    search_knees(run);
  } else {
    measure_fixed_load(run);
  }
  return run.finish();
}

}  // namespace

measurement run(const options& asked) {
  if (!asked.cpus.empty()) restrict_to_cpus(asked.cpus);
  std::optional<client_ceiling> ceiling;
  if (asked.ceiling.count() > 0) ceiling = measure_ceiling(asked);
  conductor run(asked, ceiling);
  return conduct(run);
}

measurement run_with(const options& asked, const crew_maker& make_crew, std::size_t processes) {
  conductor run(asked, {}, make_crew, processes);
  return conduct(run);
}

}  // namespace echobench
