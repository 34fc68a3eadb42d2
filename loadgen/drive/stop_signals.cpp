#include "loadgen/drive/stop_signals.hpp"

#include "common/process.hpp"
#include "common/timespec.hpp"

#include <poll.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <system_error>

namespace echobench {

unique_fd open_stop_signals() {
  const sigset_t stop = block_stop_signals();
  unique_fd fd(::signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) throw std::system_error(errno, std::system_category(), "signalfd");
  return fd;
}

bool sleep_until(std::chrono::steady_clock::time_point then, const unique_fd& stop) {
  pollfd waited{.fd = stop.get(), .events = POLLIN, .revents = 0};
  const auto timeout = to_timespec(then - std::chrono::steady_clock::now());
  return ::ppoll(&waited, 1, &timeout, nullptr) <= 0;
}

}  // namespace echobench
