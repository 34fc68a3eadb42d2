// When the kernel received what is read from TCP sockets, on CLOCK_MONOTONIC (SO_TIMESTAMPNS: software
// timestamps, Documentation/networking/timestamping.rst). Taken where a packet comes from its device,
// loopback included: it does not matter when this process came to read it.
#pragma once

#include "loadgen/transport/socket_times.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

namespace echobench {

class arrival_stamps {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // For what `listener` accepts, from its first byte on. Throws std::system_error.
  explicit arrival_stamps(int listener);

  // recv(2) with MSG_DONTWAIT; `arrived` is when the last packet did of which bytes were read, or empty where
  // the kernel gives no time.
  ssize_t receive(int fd, std::span<std::byte> into, std::optional<time_point>& arrived);

private:
  stamped_arrivals arrivals_;
  time_of_day_clock clock_{std::chrono::seconds(1), 10};
};

}  // namespace echobench
