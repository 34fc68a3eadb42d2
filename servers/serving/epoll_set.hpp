// An epoll(7) set.
#pragma once

#include "common/socket.hpp"
#include "common/timespec.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <span>
#include <system_error>

namespace echobench {

class epoll_set {
public:
  epoll_set() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (!fd_) throw std::system_error(errno, std::system_category(), "epoll_create1");
  }

  // epoll_ctl(2): false, with errno, if there is no memory or max_user_watches is reached. Reports carry
  // `tag`.
  bool control(int operation, int fd, std::uint32_t events, void* tag) noexcept {
    epoll_event event{.events = events, .data = {.ptr = tag}};
    return ::epoll_ctl(fd_.get(), operation, fd, &event) == 0;
  }

  // The same for several descriptors.
  bool control_all(int operation, std::span<const unique_fd> fds, std::uint32_t events, void* tag) noexcept {
    bool done = true;
    for (const unique_fd& fd : fds) done &= control(operation, fd.get(), events, tag);
    return done;
  }

  // What is ready, at the beginning of `room`; empty when the time has come or a signal has interrupted the
  // wait. time_point::max(): no such time. From any thread.
  std::span<const epoll_event> wait(std::span<epoll_event> room,
                                    std::chrono::steady_clock::time_point until) const {
    using clock = std::chrono::steady_clock;
    const int most = static_cast<int>(room.size());
    int ready = 0;
    if (until == clock::time_point::max()) {
      ready = ::epoll_wait(fd_.get(), room.data(), most, -1);
    } else {
      const auto left = to_timespec(until - clock::now());
      ready = ::epoll_pwait2(fd_.get(), room.data(), most, &left, nullptr);
    }
    if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "epoll_wait");
    return room.first(static_cast<std::size_t>(std::max(ready, 0)));
  }

private:
  unique_fd fd_;
};

// Room for the reports of one wait.
using epoll_reports = std::array<epoll_event, 512>;

}  // namespace echobench
