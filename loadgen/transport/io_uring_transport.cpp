#include "loadgen/transport/io_uring_transport.hpp"

#include "common/timespec.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>
#include <tuple>
#include <utility>

namespace echobench {
namespace {

// One thread submits and reaps (SINGLE_ISSUER); what completes is looked at only when that thread enters the
// kernel (DEFER_TASKRUN), and a flag in shared memory says when that is worth it (TASKRUN_FLAG); the ring
// begins disabled, because that thread comes later.
constexpr unsigned setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                                 IORING_SETUP_R_DISABLED;
constexpr unsigned submissions = 256;
constexpr std::uint16_t buffer_group = 0;
constexpr std::size_t page = 4096;

// Completions told at a time, and sends gathered: few, so that a due request does not wait for many replies,
// nor a request that was issued for many sends.
constexpr std::size_t events_at_a_time = 16;
constexpr std::size_t send_entries = 64;
constexpr std::size_t largest_piece = 64U << 10;
constexpr std::size_t receive_memory = 4U << 20;

int set_up(io_uring& ring, unsigned entries, std::size_t completions) {
  io_uring_params params{};
  params.flags = setup_flags;
  params.cq_entries = static_cast<unsigned>(completions);
  return -::io_uring_queue_init_params(entries, &ring, &params);
}

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(-result, std::system_category(), what);
}

void* allocate(std::size_t size) {
  void* const memory = std::aligned_alloc(page, (size + page - 1) / page * page);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

// What is in flight on a connection comes in one piece, if it is not much.
std::size_t piece_of(const transport_settings& settings) {
  return std::bit_ceil(
      std::clamp<std::size_t>(settings.message_size * settings.pipeline, 1024, largest_piece));
}

}  // namespace

std::string io_uring_unavailable_reason() {
  io_uring ring{};
  const int error = set_up(ring, 8, 16);
  if (error == 0) ::io_uring_queue_exit(&ring);
  if (error == 0) return {};
  std::string why = std::string("io_uring cannot be set up: ") + std::strerror(error);
  if (error == EPERM) why += " (kernel.io_uring_disabled, or a container's seccomp profile)";
  if (error == EINVAL) why += " (it needs Linux 6.1)";
  if (error == ENOMEM) why += " (ulimit -l)";
  return why;
}

io_uring_transport::io_uring_transport(const transport_settings& settings, transport_events& events)
    : handler_(events),
      receive_size_(piece_of(settings)),
      receive_count_(static_cast<unsigned>(
          std::clamp<std::size_t>(std::bit_ceil(settings.slots), 64, receive_memory / receive_size_))),
      send_size_(piece_of(settings)),
      registers_(settings.kept),
      stop_fd_(settings.stop_fd),
      scratch_(send_entries * send_size_),
      sends_(send_entries),
      slots_(settings.slots) {
  const auto completions = std::clamp<std::size_t>(4 * settings.slots, 1024, 32U << 10);
  if (const int error = set_up(ring_, submissions, completions); error != 0) {
    throw std::system_error(error, std::system_category(),
                            "io_uring_queue_init (--engine epoll goes without)");
  }
  for (std::size_t i = 0; i < send_entries; ++i) free_sends_.push_back(i);
  provided_.reset(static_cast<io_uring_buf_ring*>(allocate(receive_count_ * sizeof(io_uring_buf))));
  received_.reset(static_cast<std::byte*>(allocate(receive_count_ * receive_size_)));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(provided_.get());
  registration.ring_entries = receive_count_;
  registration.bgid = buffer_group;
  check(::io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
  ::io_uring_buf_ring_init(provided_.get());
  for (unsigned i = 0; i < receive_count_; ++i) give_back(i);
  if (registers_) {
    check(::io_uring_register_files_sparse(&ring_, static_cast<unsigned>(settings.slots)),
          "io_uring_register_files");
  }
}

io_uring_transport::~io_uring_transport() { ::io_uring_queue_exit(&ring_); }

// Not by io_uring_enable_rings, which liburing 2.3 declares and does not export.
void io_uring_transport::enter() {
  const long result =
      ::syscall(__NR_io_uring_register, ring_.ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
  check(result < 0 ? -errno : 0, "enabling an io_uring");
  ::io_uring_register_ring_fd(&ring_);  // spares a look-up at each entry; it may fail
  ::io_uring_prep_poll_add(&next(tag(of::stop, 0, 0)), stop_fd_, POLLIN);
}

bool io_uring_transport::connect(std::size_t slot, const endpoint& to, const endpoint* source, reading how) {
  slot_state& state = slots_[slot];
  const auto [generation, queued] = std::pair(state.generation + 1, state.queued);
  state = {};
  state.generation = generation;
  state.queued = queued;
  state.fd = start_connect(to, source);
  if (!state.fd) return false;
  set_no_delay(state.fd.get());
  state.how = how;
  state.connecting = true;
  if (registers_) {
    int fd = state.fd.get();
    const int result = ::io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &fd, 1);
    if (result < 0) {
      state.fd.reset();
      errno = -result;
      return false;
    }
  }
  ::io_uring_prep_poll_add(&next(tag_of(of::connect, slot)), state.fd.get(), POLLOUT);
  return true;
}

void io_uring_transport::flush(std::size_t slot) {
  const slot_state& state = slots_[slot];
  if (!state.connecting && !state.sending && !state.waits && state.send_error == 0) want_send(slot);
}

void io_uring_transport::receive(std::size_t slot, std::size_t most) {
  slots_[slot].receive_most = static_cast<std::uint32_t>(std::min(most, receive_size_));
  if (!slots_[slot].receiving) ask_to_receive(slot);
}

// What the kernel was asked for holds the socket open until it is cancelled.
void io_uring_transport::close(std::size_t slot) noexcept {
  slot_state& state = slots_[slot];
  const auto cancel = [&](of what) {
    ::io_uring_prep_cancel64(&next(tag(of::cancel, 0, 0)), tag_of(what, slot), 0);
  };
  if (state.connecting) cancel(of::connect);
  if (state.receiving) cancel(of::receive);
  if (state.waits) cancel(of::writable);
  if (registers_ && state.fd) {
    int none = -1;
    ::io_uring_register_files_update(&ring_, static_cast<unsigned>(slot), &none, 1);
  }
  state.fd.reset();
}

void io_uring_transport::abort(std::size_t slot) noexcept {
  set_reset_on_close(slots_[slot].fd.get());
  close(slot);
}

bool io_uring_transport::poll() {
  prepare_sends();
  if (must_enter()) {
    const bool more = ::io_uring_cq_ready(&ring_) == 0;
    const int result = more ? ::io_uring_submit_and_get_events(&ring_) : ::io_uring_submit(&ring_);
    if (result != -EINTR && result != -EBUSY && result != -EAGAIN) check(result, "io_uring_enter");
  }
  return dispatch() > 0;
}

std::chrono::nanoseconds io_uring_transport::wait(std::chrono::nanoseconds longest) {
  if (poll()) return std::chrono::nanoseconds(0);
  prepare_sends();
  const auto start = std::chrono::steady_clock::now();
  auto timeout = to_timespec<__kernel_timespec>(longest);
  io_uring_cqe* first = nullptr;
  const int result = ::io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
  const auto slept = std::chrono::steady_clock::now() - start;
  if (result != -ETIME && result != -EINTR && result != -EBUSY && result != -EAGAIN)
    check(result, "io_uring_enter");
  dispatch();
  return slept;
}

// ---- what the kernel is asked for

io_uring_sqe& io_uring_transport::next(std::uint64_t user_data) {
  io_uring_sqe* entry = ::io_uring_get_sqe(&ring_);
  if (entry == nullptr) {
    ::io_uring_submit(&ring_);
    entry = ::io_uring_get_sqe(&ring_);
  }
  ::io_uring_sqe_set_data64(entry, user_data);
  return *entry;
}

void io_uring_transport::ask_to_receive(std::size_t slot) {
  slot_state& state = slots_[slot];
  io_uring_sqe& entry = next(tag_of(of::receive, slot));
  if (registers_ && state.how == reading::as_it_comes) {
    ::io_uring_prep_recv_multishot(&entry, descriptor(slot), nullptr, 0, 0);
  } else {
    ::io_uring_prep_recv(&entry, descriptor(slot), nullptr, state.receive_most, 0);
  }
  entry.flags |= IOSQE_BUFFER_SELECT;
  if (registers_) entry.flags |= IOSQE_FIXED_FILE;
  entry.ioprio |= IORING_RECVSEND_POLL_FIRST;
  entry.buf_group = buffer_group;
  state.receiving = true;
}

void io_uring_transport::want_send(std::size_t slot) {
  if (!std::exchange(slots_[slot].queued, true)) to_send_.push_back(slot);
}

// With MSG_DONTWAIT a send is done, as far as it goes, when it has been submitted.
void io_uring_transport::prepare_sends() {
  if (to_send_.empty()) return;
  to_send_.swap(wanted_);
  for (const std::size_t slot : wanted_) {
    slot_state& state = slots_[slot];
    if (free_sends_.empty()) {
      to_send_.push_back(slot);
      continue;
    }
    state.queued = false;
    if (!state.fd || state.connecting || state.sending || state.waits) continue;
    const std::size_t index = free_sends_.back();
    send_entry& own = sends_[index];
    const bool rest = !state.unsent.empty();
    own = {.slot = slot,
           .generation = state.generation,
           .bytes = rest ? state.unsent : handler_.pending(slot, scratch_of(index))};
    if (own.bytes.empty()) continue;
    free_sends_.pop_back();
    state.sending = true;
    if (!rest) handler_.taken(slot, own.bytes.size());
    io_uring_sqe& entry = next(tag(of::send, 0, index));
    ::io_uring_prep_send(&entry, descriptor(slot), own.bytes.data(), own.bytes.size(),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
    if (registers_) entry.flags |= IOSQE_FIXED_FILE;
  }
  wanted_.clear();
}

bool io_uring_transport::must_enter() const noexcept {
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  return ::io_uring_sq_ready(&ring_) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void io_uring_transport::give_back(unsigned buffer) noexcept {
  ::io_uring_buf_ring_add(provided_.get(), received_.get() + buffer * receive_size_,
                          static_cast<unsigned>(receive_size_), static_cast<unsigned short>(buffer),
                          static_cast<int>(receive_count_ - 1), 0);
  ::io_uring_buf_ring_advance(provided_.get(), 1);
}

// ---- what has happened

bool io_uring_transport::is_of_now(std::uint64_t user_data) const noexcept {
  const slot_state& state = slots_[user_data & 0xffff'ffff];
  return state.fd && ((user_data >> 32) & 0x0fff'ffff) == (state.generation & 0x0fff'ffff);
}

std::size_t io_uring_transport::dispatch() {
  std::size_t count = 0;
  io_uring_cqe* done = nullptr;
  while (count < events_at_a_time && ::io_uring_peek_cqe(&ring_, &done) == 0) {
    const auto [user_data, result, flags] = std::tuple(done->user_data, done->res, done->flags);
    ::io_uring_cqe_seen(&ring_, done);
    handle(user_data, result, flags);
    if ((flags & IORING_CQE_F_BUFFER) != 0) give_back(flags >> IORING_CQE_BUFFER_SHIFT);
    ++count;
  }
  return count;
}

void io_uring_transport::handle(std::uint64_t user_data, int result, std::uint32_t flags) {
  const auto index = static_cast<std::size_t>(user_data & 0xffff'ffff);
  switch (static_cast<of>(user_data >> 60)) {
    case of::stop: stop_requested_ = true; break;
    case of::cancel: break;
    case of::send: sent(index, result); break;
    case of::connect:
      if (is_of_now(user_data)) connected(index);
      break;
    case of::receive:
      if (is_of_now(user_data)) received(index, result, flags);
      break;
    case of::writable:
      if (!is_of_now(user_data)) break;
      slots_[index].waits = false;
      want_send(index);
      break;
  }
}

void io_uring_transport::connected(std::size_t slot) {
  slot_state& state = slots_[slot];
  if (const int error = take_socket_error(state.fd.get()); error != 0) return handler_.on_error(slot, error);
  state.connecting = false;
  state.receive_most = static_cast<std::uint32_t>(receive_size_);
  if (state.how == reading::as_it_comes) ask_to_receive(slot);
  handler_.on_connected(slot);
}

void io_uring_transport::received(std::size_t slot, int result, std::uint32_t flags) {
  slot_state& state = slots_[slot];
  const auto generation = state.generation;
  if ((flags & IORING_CQE_F_MORE) == 0) state.receiving = false;
  if (result > 0) {
    const std::byte* const bytes = received_.get() + (flags >> IORING_CQE_BUFFER_SHIFT) * receive_size_;
    handler_.on_bytes(slot, {bytes, static_cast<std::size_t>(result)});
  } else if (result == 0 && state.send_error == 0) {
    return handler_.on_end(slot);
  } else if (result != -ENOBUFS && result != -EINTR && result != -EAGAIN) {
    return handler_.on_error(slot, state.send_error != 0 ? state.send_error : -result);
  }
  const bool again = state.how == reading::as_it_comes || result <= 0;
  if (again && !state.receiving && state.fd && state.generation == generation) ask_to_receive(slot);
}

void io_uring_transport::sent(std::size_t entry, int result) {
  const send_entry own = sends_[entry];
  free_sends_.push_back(entry);
  slot_state& state = slots_[own.slot];
  if (!state.fd || state.generation != own.generation) return;
  state.sending = false;
  if (result < 0 && result != -EAGAIN && result != -EINTR) {
    state.send_error = -result;  // its last bytes first, then the error
    if (!state.receiving) handler_.on_error(own.slot, state.send_error);
    return;
  }
  const auto rest = own.bytes.subspan(static_cast<std::size_t>(std::max(result, 0)));
  if (rest.empty()) {
    state.unsent = {};
    return want_send(own.slot);  // there may be more
  }
  const auto scratch = scratch_of(entry);
  if (rest.data() >= scratch.data() && rest.data() < scratch.data() + scratch.size()) {
    state.kept.assign(rest.begin(), rest.end());
    state.unsent = state.kept;
  } else {
    state.unsent = rest;
  }
  ::io_uring_prep_poll_add(&next(tag_of(of::writable, own.slot)), state.fd.get(), POLLOUT);
  state.waits = true;
}

}  // namespace echobench
