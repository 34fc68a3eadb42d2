#include "loadgen/transport/epoll_transport.hpp"

#include "common/timespec.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace echobench {

epoll_transport::epoll_transport(const transport_settings& settings, transport_events& events)
    : handler_(events),
      timestamps_(settings.timestamps ? std::make_unique<kernel_timestamps>() : nullptr),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      slots_(settings.slots),
      received_(buffer_size),
      scratch_(buffer_size) {
  epoll_event stop{.events = EPOLLIN, .data = {.u64 = stop_token}};
  if (!epoll_ || ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, settings.stop_fd, &stop) != 0) {
    throw std::system_error(errno, std::system_category(), "cannot set up epoll");
  }
  const timespec at_once{};
  if (::epoll_pwait2(epoll_.get(), events_.data(), 1, &at_once, nullptr) < 0) {
    throw std::system_error(errno, std::system_category(), "epoll_pwait2 (Linux 5.11 or later)");
  }
}

bool epoll_transport::connect(std::size_t slot, const endpoint& to, const endpoint* source, reading how) {
  slot_state& state = slots_[slot];
  const auto generation = state.generation + 1;
  state = {.fd = start_connect(to, source),
           .generation = generation,
           .receive_most = how == reading::on_demand ? 0 : static_cast<std::uint32_t>(buffer_size),
           .connecting = true,
           .how = how};
  if (!state.fd) return false;
  if (timestamps_) timestamps_->enable(state.fd.get());
  epoll_event event{.events = EPOLLOUT, .data = {.u64 = token_of(slot)}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, state.fd.get(), &event) == 0) return true;
  const int error = errno;
  state.fd.reset();
  errno = error;
  return false;
}

void epoll_transport::flush(std::size_t slot) {
  slot_state& state = slots_[slot];
  if (state.connecting || state.send_error != 0) return;
  bool full = false;
  while (!full) {
    const auto bytes = handler_.pending(slot, scratch_);
    if (bytes.empty()) break;
    const auto when = std::chrono::steady_clock::now();
    const auto n = ::send(state.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
      state.send_error = errno;  // the dead socket is readable: its last bytes, then the error
      return;
    }
    if (n > 0) {
      handler_.taken(slot, static_cast<std::size_t>(n));
      handler_.handed_over(slot, static_cast<std::size_t>(n), when);
    }
    full = n < static_cast<std::ptrdiff_t>(bytes.size());
  }
  if (std::exchange(state.write_wanted, full) != full) watch(slot);
}

void epoll_transport::receive(std::size_t slot, std::size_t most) {
  slots_[slot].receive_most = static_cast<std::uint32_t>(std::min(most, buffer_size));
  watch(slot);
}

std::chrono::microseconds epoll_transport::handshake(std::size_t slot) const noexcept {
  return smoothed_round_trip(slots_[slot].fd.get());
}

void epoll_transport::abort(std::size_t slot) noexcept {
  set_reset_on_close(slots_[slot].fd.get());
  close(slot);
}

bool epoll_transport::poll() {
  const std::size_t count = fetch(std::chrono::nanoseconds(0));
  dispatch(count);
  return count > 0;
}

std::chrono::nanoseconds epoll_transport::wait(std::chrono::nanoseconds longest) {
  if (poll()) return std::chrono::nanoseconds(0);
  const auto start = std::chrono::steady_clock::now();
  const std::size_t count = fetch(longest);
  const auto slept = std::chrono::steady_clock::now() - start;
  dispatch(count);
  return slept;
}

std::size_t epoll_transport::fetch(std::chrono::nanoseconds longest) noexcept {
  const auto timeout = to_timespec(longest);
  const int count =
      ::epoll_pwait2(epoll_.get(), events_.data(), static_cast<int>(events_.size()), &timeout, nullptr);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

void epoll_transport::dispatch(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t token = events_[i].data.u64;
    if (token == stop_token) {
      stop_requested_ = true;
      continue;
    }
    const auto slot = static_cast<std::size_t>(token & 0xffff'ffff);
    if (slots_[slot].fd && token == token_of(slot)) handle(slot, events_[i].events);
  }
}

void epoll_transport::handle(std::size_t slot, std::uint32_t happened) {
  slot_state& state = slots_[slot];
  if (state.connecting) return connected(slot);
  if (timestamps_ && (happened & EPOLLERR) != 0) {  // a time in the error queue is no error
    if (const auto sent = timestamps_->take_sent(state.fd.get())) state.kernel_sent = *sent;
    happened &= ~std::uint32_t{EPOLLERR};
    if ((happened & (EPOLLIN | EPOLLHUP | EPOLLOUT)) == 0) return;
  }
  const auto generation = state.generation;
  const bool broken = (happened & (EPOLLHUP | EPOLLERR)) != 0;
  if (state.receive_most > 0 && (broken || (happened & EPOLLIN) != 0)) {
    read(slot);
  } else if (broken) {
    return handler_.on_error(slot, take_socket_error(state.fd.get()));
  }
  const bool still_there = state.fd && state.generation == generation;
  if (still_there && (happened & EPOLLOUT) != 0 && state.write_wanted) flush(slot);
}

void epoll_transport::connected(std::size_t slot) {
  slot_state& state = slots_[slot];
  if (const int error = take_socket_error(state.fd.get()); error != 0) return handler_.on_error(slot, error);
  state.connecting = false;
  watch(slot);
  handler_.on_connected(slot);
}

void epoll_transport::read(std::size_t slot) {
  slot_state& state = slots_[slot];
  const auto room = std::span(received_).first(state.receive_most);
  std::chrono::steady_clock::time_point arrived;
  const auto n = timestamps_ ? timestamps_->receive(state.fd.get(), room, arrived)
                             : ::recv(state.fd.get(), room.data(), room.size(), 0);
  const auto now = n > 0 ? std::chrono::steady_clock::now() : std::chrono::steady_clock::time_point();
  if (n > 0 && timestamps_) {
    if (const auto sent = timestamps_->take_sent(state.fd.get())) state.kernel_sent = *sent;
    handler_.on_kernel_times(slot, state.kernel_sent, arrived);
  }
  if (n > 0) {
    if (state.how == reading::on_demand) receive(slot, 0);
    handler_.on_bytes(slot, std::span(received_).first(static_cast<std::size_t>(n)), now);
  } else if (n == 0 && state.send_error == 0) {
    handler_.on_end(slot);
  } else if (n == 0 || errno != EAGAIN) {
    handler_.on_error(slot, state.send_error != 0 ? state.send_error : errno);
  }
}

// Errors and hang-ups are reported whatever is asked for.
void epoll_transport::watch(std::size_t slot) noexcept {
  const slot_state& state = slots_[slot];
  const std::uint32_t in = state.receive_most > 0 ? EPOLLIN : 0U;
  const std::uint32_t out = state.write_wanted ? EPOLLOUT : 0U;
  epoll_event event{.events = in | out, .data = {.u64 = token_of(slot)}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, state.fd.get(), &event);
}

}  // namespace echobench
