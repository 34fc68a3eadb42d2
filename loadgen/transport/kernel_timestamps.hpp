// When the kernel sent and received the bytes of TCP sockets: software timestamps (SO_TIMESTAMPING,
// Documentation/networking/timestamping.rst). Taken where a packet is handed to the device, and where it
// comes from one; the loopback device has them, too.
#pragma once

#include "loadgen/transport/socket_times.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

namespace echobench {

class kernel_timestamps {
public:
  using time_point = std::chrono::steady_clock::time_point;

  void enable(int fd);  // throws std::system_error where the kernel has none

  // Of the last bytes sent of which one has come; empty: none has come since.
  std::optional<time_point> take_sent(int fd);

  // recv(2); `arrived` is when the last of the bytes did, or time_point() where the kernel does not say.
  ssize_t receive(int fd, std::span<std::byte> into, time_point& arrived);

private:
  stamped_arrivals arrivals_;
  time_of_day_clock clock_{std::chrono::milliseconds(100), 1};
};

}  // namespace echobench
