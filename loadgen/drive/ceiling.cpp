#include "loadgen/drive/ceiling.hpp"

#include "loadgen/drive/coordinator.hpp"
#include "loadgen/drive/null_server.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace echobench {

using namespace std::chrono_literals;

client_ceiling measure_ceiling(const options& asked) {
  const auto& pid = asked.targets.front().server_pid;
  const null_server server(asked.load.messages.frames, pid ? allowed_cpus(*pid) : cpu_list());
  options settings = asked;
  settings.targets = {{.name = "null server",
                       .host_and_port = server.where().to_string(),
                       .server_pid = server.pid(),
                       .server_loops = 1}};
  settings.load.messages.operations = {weighted_operation{}};
  settings.load.pace = {};
  settings.load.idle_connections = settings.load.slow_readers = 0;
  settings.rate = 0;
  settings.sweep.reset();
  settings.objectives.clear();
  settings.hdr_file.clear();
  settings.interval_file.clear();

  coordinator run(settings, {{.address = server.where(), .addresses = 1, .refused = {}}});
  run.connect();
  run.add_cell(0, 0);
  run.warm_up(0, 0, asked.ceiling / 5);
  run.begin(0);
  const auto windows = static_cast<std::size_t>(std::max<std::int64_t>(asked.ceiling / 20ms, 1));
  run.drive_windows(0, asked.ceiling, windows, asked.ceiling / 10);
  run.end(0);
  run.conclude(0);
  const cell& seen = run.of(0);
  return {.throughput = seen.throughput(),
          .client_busy = seen.client_busy,
          .server_busy = seen.server ? seen.server->busy : 0};
}

}  // namespace echobench
