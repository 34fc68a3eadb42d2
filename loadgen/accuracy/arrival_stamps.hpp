// When the kernel received what is read from TCP sockets, on CLOCK_MONOTONIC (SO_TIMESTAMPNS: software
// timestamps, Documentation/networking/timestamping.rst). Taken where a packet comes from its device,
// loopback included: it does not matter when this process came to read it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>

namespace echobench {

class arrival_stamps {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // For what `listener` accepts, from its first byte on; no connection may be waiting there. Throws
  // std::system_error.
  explicit arrival_stamps(int listener);

  // recv(2) with MSG_DONTWAIT; `arrived` is when the last packet did of which bytes were read, or empty where
  // the kernel gives no time.
  ssize_t receive(int fd, std::span<std::byte> into, std::optional<time_point>& arrived);

private:
  bool is_stamped(int listener);  // what comes now

  // The kernel gives the time of day. It and CLOCK_MONOTONIC are slewed alike, so that their difference
  // changes only when the time of day is set: looked at once a second.
  time_point to_steady(const struct timespec& time_of_day);
  void compare_clocks(int tries);

  std::chrono::nanoseconds ahead_{0};  // the time of day minus the steady clock
  time_point compared_;
};

}  // namespace echobench
