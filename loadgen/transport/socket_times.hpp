// What the kernel says of the times of sockets (Documentation/networking/timestamping.rst): the control
// messages that it adds to bytes, and what its time of day is on the steady clock.
#pragma once

#include "common/socket.hpp"

#include <sys/socket.h>
#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <optional>
#include <span>

namespace echobench {

// A message with what the kernel adds to it.
class message_with_control {
public:
  // recvmsg(2), with those flags.
  ssize_t receive(int fd, std::span<std::byte> into, int flags);

  // Of SOL_SOCKET and that type, of the message received last; empty: it has none.
  template <class Content>
  std::optional<Content> find(int type) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message_); part != nullptr; part = CMSG_NXTHDR(&message_, part)) {
      if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != type) continue;
      Content content;
      std::memcpy(&content, CMSG_DATA(part), sizeof content);
      return content;
    }
    return std::nullopt;
  }

private:
  alignas(cmsghdr) std::array<std::byte, 512> control_;
  msghdr message_{};
};

// As long as this lives the kernel takes the time when a packet comes from its device, for the sockets that
// ask for it.
class stamped_arrivals {
public:
  // Returns when it does: it begins a little after it was first asked, when a worker thread of its has run
  // (net_enable_timestamp of net/core/dev.c), and what comes before has no time. Gives up after 2 s. Throws
  // std::system_error.
  stamped_arrivals();

private:
  unique_fd asking_;  // a datagram socket to itself
};

// The kernel's times are of the time of day. NTP slews it and the steady clock alike (CLOCK_MONOTONIC, too),
// so that what is between them changes only when the time of day is set, and by what two readings are apart.
class time_of_day_clock {
public:
  using time_point = std::chrono::steady_clock::time_point;

  // The two are compared anew when that time has passed, by so many pairs of readings.
  time_of_day_clock(std::chrono::nanoseconds every, int tries) noexcept : every_(every), tries_(tries) {}

  time_point to_steady(const timespec& time_of_day);
  void compare(int tries);  // the closest pair counts: nothing came between its readings

private:
  std::chrono::nanoseconds every_;
  int tries_;
  std::chrono::nanoseconds ahead_{0};  // the time of day minus the steady clock
  time_point compared_;
};

}  // namespace echobench
