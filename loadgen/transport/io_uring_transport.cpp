#include "loadgen/transport/io_uring_transport.hpp"

#include "common/timespec.hpp"
#include "common/uring_setup.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <new>
#include <system_error>
#include <tuple>
#include <utility>

namespace echobench {
namespace {

// One thread submits and reaps (SINGLE_ISSUER); what completes is looked at only when that thread enters the
// kernel (DEFER_TASKRUN), and a flag in shared memory says when that is worth it (TASKRUN_FLAG); the ring
// begins disabled, because that thread comes later; an entry that fails does not end a submission
// (SUBMIT_ALL).
constexpr unsigned setup_flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
                                 IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL;
constexpr std::uint16_t buffer_group = 0;
constexpr std::size_t page = 4096;

constexpr std::size_t largest_piece = 64U << 10;
constexpr std::size_t send_memory = 4U << 20;
constexpr unsigned fewest_entries = 64;
constexpr unsigned most_entries = 256;

// Buffers are lent to the kernel as far as it needs them: these at first, twice as many each time that none
// is left while the kernel is entered once, up to what is in flight.
constexpr unsigned first_buffers = 64;
constexpr std::size_t most_buffers = 32768;  // as a ring holds
constexpr std::size_t receive_memory = 64U << 20;

constexpr std::chrono::milliseconds retry_interval(1);  // of a submission that the kernel refused

io_uring_params parameters(std::size_t completions) {
  io_uring_params params{};
  params.flags = setup_flags;
  params.cq_entries = static_cast<unsigned>(completions);
  return params;
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

unsigned buffers_of(const transport_settings& settings) {
  const std::size_t piece = piece_of(settings);
  const std::size_t pieces =
      settings.slots * ((settings.message_size * settings.pipeline + piece - 1) / piece);
  return static_cast<unsigned>(std::clamp<std::size_t>(std::bit_ceil(pieces), first_buffers,
                                                       std::min(receive_memory / piece, most_buffers)));
}

unsigned entries_of(std::size_t piece) {
  return static_cast<unsigned>(std::clamp<std::size_t>(send_memory / piece, fewest_entries, most_entries));
}

// Not submitted, and not broken either: memory was short, or completions must be fetched first.
bool may_be_retried(int result) noexcept {
  return result == -EINTR || result == -EBUSY || result == -EAGAIN || result == -ETIME;
}

}  // namespace

std::string io_uring_unavailable_reason() { return why_no_ring(8, parameters(16)); }

io_uring_transport::io_uring_transport(const transport_settings& settings, transport_events& events)
    : handler_(events),
      receive_size_(piece_of(settings)),
      most_buffers_(buffers_of(settings)),
      send_size_(piece_of(settings)),
      registers_(settings.kept),
      stop_fd_(settings.stop_fd),
      slots_(settings.slots) {
  const auto completions = std::clamp<std::size_t>(4 * settings.slots, 1024, 32U << 10);
  io_uring_params params = parameters(completions);
  check_ring(::io_uring_queue_init_params(entries_of(send_size_), &ring_, &params),
             "io_uring_queue_init (--engine epoll goes without)");
  entries_.resize(ring_.sq.ring_entries);
  scratch_.resize(entries_.size() * send_size_);
  provided_.reset(static_cast<io_uring_buf_ring*>(allocate(most_buffers_ * sizeof(io_uring_buf))));
  received_.reset(static_cast<std::byte*>(allocate(most_buffers_ * receive_size_)));
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(provided_.get());
  registration.ring_entries = most_buffers_;
  registration.bgid = buffer_group;
  check(::io_uring_register_buf_ring(&ring_, &registration, 0), "io_uring_register_buf_ring");
  ::io_uring_buf_ring_init(provided_.get());
  lend_up_to(first_buffers);
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
  ::io_uring_register_ring_fd(&ring_);  // saves a look-up at each entry; it may fail
  requests_.push_back({.what = of::stop, .slot = 0, .generation = 0});
}

bool io_uring_transport::connect(std::size_t slot, const endpoint& to, const endpoint* source, reading how) {
  slot_state& state = slots_[slot];
  const auto [generation, queued] = std::pair(state.generation + 1, state.queued);
  state = {};
  state.generation = generation;
  state.queued = queued;
  state.fd = start_connect(to, source);
  if (!state.fd) return false;
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
  ask(of::connect, slot);
  return true;
}

void io_uring_transport::flush(std::size_t slot) {
  const slot_state& state = slots_[slot];
  if (!state.connecting && !state.waits && state.send_error == 0) want_send(slot);
}

void io_uring_transport::receive(std::size_t slot, std::size_t most) {
  slots_[slot].receive_most = static_cast<std::uint32_t>(std::min(most, receive_size_));
  if (!slots_[slot].receiving) ask_to_receive(slot);
}

// What the kernel was asked for holds the socket open until it is cancelled; what it was not yet asked for
// must not reach the slot's next socket.
void io_uring_transport::close(std::size_t slot) noexcept {
  slot_state& state = slots_[slot];
  for (unsigned at = consumed_; at != ring_.sq.sqe_tail; ++at) {
    entry& waiting = entries_[at & ring_.sq.ring_mask];
    if (waiting.slot != slot || waiting.what == of::cancel || waiting.what == of::stop) continue;
    waiting.what = of::nothing;
    io_uring_sqe& sqe = ring_.sq.sqes[at & ring_.sq.ring_mask];
    ::io_uring_prep_nop(&sqe);
    sqe.user_data = tag(of::nothing, 0, 0);
  }
  const auto cancel = [&](of what) {
    requests_.push_back({of::cancel, slot, state.generation, tag_of(what, slot)});
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
  const unsigned before = consumed_;
  return advance() > 0 || consumed_ != before;
}

std::chrono::nanoseconds io_uring_transport::wait(std::chrono::nanoseconds longest) {
  const unsigned before = consumed_;
  if (advance() > 0) return std::chrono::nanoseconds(0);
  if (::io_uring_sq_ready(&ring_) > 0 || !requests_.empty() || !to_send_.empty()) {
    if (consumed_ != before) return std::chrono::nanoseconds(0);  // there was no room for all of it
    longest = std::min<std::chrono::nanoseconds>(longest, retry_interval);
  }
  auto timeout = to_timespec<__kernel_timespec>(longest);
  const auto start = std::chrono::steady_clock::now();
  io_uring_cqe* first = nullptr;
  const int result = ::io_uring_wait_cqes(&ring_, &first, 1, &timeout, nullptr);
  const auto slept = std::chrono::steady_clock::now() - start;
  if (!may_be_retried(result)) check(result, "io_uring_enter");
  dispatch();
  return slept;
}

// Asks for what is wanted, as far as the queue has room, and handles what has happened: returns how many
// completions.
std::size_t io_uring_transport::advance() {
  if (!requests_.empty()) prepare_requests();
  if (requests_.empty() && !to_send_.empty()) prepare_sends();
  if (must_enter()) enter_kernel();
  return dispatch();
}

// ---- what the kernel is asked for

// The next entry of the queue, which must have room.
io_uring_sqe& io_uring_transport::next_entry(of what, std::size_t slot, std::uint32_t generation) {
  entries_[next_place()] = {.what = what, .slot = slot, .generation = generation};
  return *::io_uring_get_sqe(&ring_);
}

void io_uring_transport::ask_to_receive(std::size_t slot) {
  slots_[slot].receiving = true;
  ask(of::receive, slot);
}

void io_uring_transport::want_send(std::size_t slot) {
  if (!std::exchange(slots_[slot].queued, true)) to_send_.push_back(slot);
}

void io_uring_transport::prepare(const request& wanted) {
  const auto [what, slot, generation, cancelled] = wanted;
  const bool outlives_socket = what == of::stop || what == of::cancel;
  if (!outlives_socket && (!slots_[slot].fd || slots_[slot].generation != generation))
    return;  // closed since
  io_uring_sqe& sqe = next_entry(what, slot, generation);
  const slot_state& state = slots_[slot];
  if (what == of::stop) {
    ::io_uring_prep_poll_add(&sqe, stop_fd_, POLLIN);
  } else if (what == of::cancel) {
    ::io_uring_prep_cancel64(&sqe, cancelled, 0);
  } else if (what != of::receive) {
    ::io_uring_prep_poll_add(&sqe, state.fd.get(), POLLOUT);
  } else {
    if (registers_ && state.how == reading::as_it_comes) {
      ::io_uring_prep_recv_multishot(&sqe, descriptor(slot), nullptr, 0, 0);
    } else {
      ::io_uring_prep_recv(&sqe, descriptor(slot), nullptr, state.receive_most, 0);
    }
    sqe.flags |= IOSQE_BUFFER_SELECT;
    if (registers_) sqe.flags |= IOSQE_FIXED_FILE;
    sqe.ioprio |= IORING_RECVSEND_POLL_FIRST;
    sqe.buf_group = buffer_group;
  }
  ::io_uring_sqe_set_data64(&sqe, tag(what, generation, slot));
}

void io_uring_transport::prepare_requests() {
  std::size_t done = 0;
  while (done < requests_.size() && has_room()) prepare(requests_[done++]);
  requests_.erase(requests_.begin(), requests_.begin() + static_cast<std::ptrdiff_t>(done));
}

// With MSG_DONTWAIT a send is done, as far as it goes, when its entry has been consumed; with MSG_WAITALL one
// that is short counts as failed, and so has a completion.
void io_uring_transport::prepare_sends() {
  to_send_.swap(wanted_);
  for (const std::size_t slot : wanted_) {
    slot_state& state = slots_[slot];
    if (state.sending || !has_room()) {
      to_send_.push_back(slot);
      continue;
    }
    state.queued = false;
    if (!state.fd || state.connecting || state.waits || state.send_error != 0) continue;
    const std::size_t place = next_place();
    const bool again = !state.rest.empty();
    const auto bytes = again ? std::exchange(state.rest, {}) : handler_.pending(slot, scratch_of(place));
    if (bytes.empty()) continue;
    io_uring_sqe& sqe = next_entry(of::send, slot, state.generation);
    entries_[place].bytes = bytes;
    entries_[place].more = again || bytes.size() >= send_size_;
    state.sending = true;
    if (!again) handler_.taken(slot, bytes.size());
    ::io_uring_prep_send(&sqe, descriptor(slot), bytes.data(), bytes.size(),
                         MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    sqe.flags |= IOSQE_CQE_SKIP_SUCCESS;
    if (registers_) sqe.flags |= IOSQE_FIXED_FILE;
    ::io_uring_sqe_set_data64(&sqe, tag(of::send, state.generation, place));
  }
  wanted_.clear();
}

bool io_uring_transport::must_enter() const noexcept {
  const unsigned flags = IO_URING_READ_ONCE(*ring_.sq.kflags);
  return ::io_uring_sq_ready(&ring_) > 0 || (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

int io_uring_transport::submit() { return ::io_uring_submit_and_get_events(&ring_); }

void io_uring_transport::enter_kernel() {
  const auto when = std::chrono::steady_clock::now();
  const int result = submit();
  if (!may_be_retried(result)) check(result, "io_uring_enter");
  const unsigned head = io_uring_smp_load_acquire(ring_.sq.khead);
  for (; consumed_ != head; ++consumed_) {
    const entry& done = entries_[consumed_ & ring_.sq.ring_mask];
    if (done.what != of::send) continue;
    slots_[done.slot].sending = false;
    handler_.handed_over(done.slot, done.bytes.size(), when);
    if (done.more) want_send(done.slot);
  }
}

// To be lent to the kernel with the next advance.
void io_uring_transport::provide(unsigned buffer, int offset) noexcept {
  ::io_uring_buf_ring_add(provided_.get(), received_.get() + buffer * receive_size_,
                          static_cast<unsigned>(receive_size_), static_cast<unsigned short>(buffer),
                          static_cast<int>(most_buffers_ - 1), offset);
}

void io_uring_transport::lend_up_to(unsigned count) noexcept {
  const unsigned before = buffers_;
  for (; buffers_ < count; ++buffers_) provide(buffers_, static_cast<int>(buffers_ - before));
  ::io_uring_buf_ring_advance(provided_.get(), static_cast<int>(buffers_ - before));
}

// ---- what has happened

bool io_uring_transport::is_current(std::uint64_t user_data) const noexcept {
  const slot_state& state = slots_[user_data & 0xffff'ffff];
  return state.fd && ((user_data >> 32) & 0x0fff'ffff) == (state.generation & 0x0fff'ffff);
}

// All that the queue holds: read directly, for liburing's peek may enter the kernel.
std::size_t io_uring_transport::dispatch() {
  const unsigned tail = io_uring_smp_load_acquire(ring_.cq.ktail);
  const unsigned first = *ring_.cq.khead;
  if (tail == first) return 0;
  fetched_ = std::chrono::steady_clock::now();
  int returned = 0;
  const auto starved_before = starved_receives_;
  for (unsigned at = first; at != tail; ++at) {
    const io_uring_cqe& done = ring_.cq.cqes[at & ring_.cq.ring_mask];
    handle(done.user_data, done.res, done.flags);
    if ((done.flags & IORING_CQE_F_BUFFER) != 0) provide(done.flags >> IORING_CQE_BUFFER_SHIFT, returned++);
  }
  ::io_uring_buf_ring_advance(provided_.get(), returned);
  ::io_uring_cq_advance(&ring_, tail - first);
  if (starved_receives_ != starved_before) lend_up_to(std::min(2 * buffers_, most_buffers_));
  return tail - first;
}

void io_uring_transport::handle(std::uint64_t user_data, int result, std::uint32_t flags) {
  const auto index = static_cast<std::size_t>(user_data & 0xffff'ffff);
  switch (static_cast<of>(user_data >> 60)) {
    case of::stop: stop_requested_ = true; break;
    case of::cancel:
    case of::nothing: break;
    case of::send: sent_short(entries_[index], result); break;
    case of::connect:
      if (is_current(user_data)) connected(index);
      break;
    case of::receive:
      if (is_current(user_data)) received(index, result, flags);
      break;
    case of::writable:
      if (!is_current(user_data)) break;
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
  starved_receives_ += result == -ENOBUFS;
  if (result > 0) {
    const std::byte* const bytes = received_.get() + (flags >> IORING_CQE_BUFFER_SHIFT) * receive_size_;
    handler_.on_bytes(slot, {bytes, static_cast<std::size_t>(result)}, fetched_);
  } else if (result == 0 && state.send_error == 0) {
    return handler_.on_end(slot);
  } else if (result != -ENOBUFS && result != -EINTR && result != -EAGAIN) {
    return handler_.on_error(slot, state.send_error != 0 ? state.send_error : -result);
  }
  const bool again = state.how == reading::as_it_comes || result <= 0;
  if (again && !state.receiving && state.fd && state.generation == generation) ask_to_receive(slot);
}

// Its completion is the first that follows: the bytes still lie where they did.
void io_uring_transport::sent_short(const entry& of_send, int result) {
  const auto [what, slot, generation, bytes, more] = of_send;
  slot_state& state = slots_[slot];
  if (what != of::send || !state.fd || state.generation != generation) return;
  const auto rest = bytes.subspan(static_cast<std::size_t>(std::max(result, 0)));
  handler_.given_back(slot, rest.size());
  if (result < 0 && result != -EAGAIN && result != -EINTR) {
    state.send_error = -result;  // its last bytes first, then the error
    if (!state.receiving) handler_.on_error(slot, state.send_error);
    return;
  }
  const bool in_scratch = rest.data() >= scratch_.data() && rest.data() < scratch_.data() + scratch_.size();
  if (in_scratch) {
    state.kept.assign(rest.begin(), rest.end());
    state.rest = state.kept;
  } else {
    state.rest = rest;
  }
  state.waits = true;
  ask(of::writable, slot);
}

}  // namespace echobench
