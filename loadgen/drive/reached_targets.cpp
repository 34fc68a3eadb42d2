#include "loadgen/drive/reached_targets.hpp"

#include "common/units.hpp"
#include "loadgen/report/progress_line.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

namespace echobench {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::nanoseconds pause = 50ms;  // between two attempts of --wait

std::vector<endpoint> addresses_of(const target& asked) {
  try {
    return resolve_all(asked.host_and_port);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("TARGET: " + std::string(error.what()));
  }
}

// Without an address where none accepts a connection.
reached_target try_in_turn(const std::vector<endpoint>& addresses, std::chrono::nanoseconds timeout) {
  reached_target tried{.address = {}, .addresses = addresses.size(), .refused = {}};
  for (const endpoint& address : addresses) {
    const connect_attempt attempt = connect_within(address, timeout);
    if (attempt.fd) {
      tried.address = address;
      return tried;
    }
    tried.refused.push_back(address.to_string() + ": " + std::strerror(attempt.error));
  }
  return tried;
}

reached_target reach_now(const target& asked, std::chrono::nanoseconds timeout) {
  const auto addresses = addresses_of(asked);
  if (addresses.size() == 1) return {.address = addresses.front(), .addresses = 1, .refused = {}};
  reached_target reached = try_in_turn(addresses, timeout);
  if (reached.refused.size() < addresses.size()) return reached;
  return {.address = addresses.front(), .addresses = addresses.size(), .refused = {}};
}

// Until it accepts a connection. A name that has no address yet may be given one meanwhile.
reached_target reach_until(const target& asked, const options& all, clock::time_point deadline,
                           progress_line& progress) {
  for (;;) {
    std::string why;
    try {
      const auto left = std::max<std::chrono::nanoseconds>(deadline - clock::now(), 1ms);
      reached_target reached = try_in_turn(addresses_of(asked), std::min(all.load.timeout, left));
      if (reached.refused.size() < reached.addresses) return reached;
      why = reached.refused.back();
    } catch (const std::system_error& error) {
      why = error.what();
    }
    if (clock::now() + pause >= deadline) {
      throw std::runtime_error(asked.label() + " accepted no connection within --wait " +
                               format_duration(all.wait) + " (" + why + ")");
    }
    progress.show([&] { return "waiting for " + asked.label() + " (" + why + ")"; });
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

std::vector<reached_target> reach_targets(const options& asked) {
  const auto deadline = clock::now() + asked.wait;
  progress_line progress;
  std::vector<reached_target> reached;
  for (const target& named : asked.targets) {
    reached.push_back(asked.wait.count() == 0 ? reach_now(named, asked.load.timeout)
                                              : reach_until(named, asked, deadline, progress));
  }
  return reached;
}

}  // namespace echobench
