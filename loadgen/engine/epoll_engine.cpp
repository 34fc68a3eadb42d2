#include "loadgen/engine/epoll_engine.hpp"

#include "common/timespec.hpp"

#include <sys/socket.h>

#include <system_error>

namespace echobench {

epoll_engine::epoll_engine(std::size_t slots, int stop_fd)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)), slots_(slots), received_(buffer_size), scratch_(buffer_size) {
  epoll_event stop{.events = EPOLLIN, .data = {.u64 = stop_token}};
  if (!epoll_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_fd, &stop) != 0) {
    throw std::system_error(errno, std::system_category(), "cannot set up epoll");
  }
  const timespec at_once{};
  if (::epoll_pwait2(epoll_.get(), events_.data(), 1, &at_once, nullptr) < 0) {
    throw std::system_error(errno, std::system_category(), "epoll_pwait2 (Linux 5.11 or later)");
  }
}

bool epoll_engine::connect(std::size_t slot, const endpoint& to, const endpoint* source) noexcept {
  slot_state& state = slots_[slot];
  state.fd = start_connect(to, source);
  if (!state.fd) return false;
  set_no_delay(state.fd.get());
  ++state.generation;
  state.send_error = 0;
  state.connecting = true;
  state.write_wanted = false;
  epoll_event event{.events = EPOLLOUT, .data = {.u64 = token_of(slot)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, state.fd.get(), &event) == 0) return true;
  const int error = errno;
  state.fd.reset();
  errno = error;
  return false;
}

void epoll_engine::abort(std::size_t slot) noexcept {
  set_reset_on_close(slots_[slot].fd.get());
  close(slot);
}

std::size_t epoll_engine::fetch(std::chrono::nanoseconds longest) noexcept {
  const auto timeout = to_timespec(longest);
  const int count =
      ::epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::ptrdiff_t epoll_engine::receive(int fd) noexcept {
  return ::recv(fd, received_.data(), received_.size(), 0);
}

std::ptrdiff_t epoll_engine::send(int fd, std::span<const std::byte> bytes) noexcept {
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void epoll_engine::watch(std::size_t slot, std::uint32_t events) noexcept {
  epoll_event event{.events = events, .data = {.u64 = token_of(slot)}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, slots_[slot].fd.get(), &event);
}

}  // namespace echobench
