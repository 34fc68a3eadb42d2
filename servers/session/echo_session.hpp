// One connection's protocol, without I/O: what arrived goes in, what is to be sent comes out.
//
// A blocking loop, a callback, a coroutine, a reactor and a completion ring make the same calls:
//
//   for (;;) {
//     while (!session.pending().empty()) session.sent(send(session.pending()));
//     if (auto request = session.take_deferred()) { carry it out; session.complete_deferred(); continue; }
//     if (session.finished()) break;                                     // then close
//     n = receive(session.recv_space());
//     n > 0 ? session.received(n) : session.peer_finished();
//   }
//
// The session answers in place: one bounded buffer, borrowed from a pool while there is something in it,
// holds
//
//   0 <= sent_ <= out_ <= in_ <= end_ <= capacity_
//        pending        input    free
//
// out_ == in_ unless input was skipped; a request is answered by turning its header round where it lies.
// Not thread-safe: one caller at a time.
#pragma once

#include "common/frame.hpp"
#include "servers/session/buffer_pool.hpp"
#include "servers/session/burn.hpp"
#include "servers/session/server_totals.hpp"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>

namespace echobench {

enum class service : std::uint8_t { echo, upper };  // for line and raw; with frame each request names its op

struct session_options {
  echobench::framing framing = echobench::framing::frame;
  echobench::service service = echobench::service::echo;
  frame_limits limits = {};
  request_burn burn = {};  // for each request
};

// A request that the model must carry out in its own way, because it takes time.
struct deferred_request {
  enum class kind : std::uint8_t { work, sleep };
  kind what;
  bool offload;                        // work: on another thread, so that a loop stays free
  std::chrono::microseconds duration;  // of thread CPU time, or of sleep
};

class echo_session {
public:
  // A line, its '\n' included, must fit the buffer.
  static constexpr std::size_t max_line = buffer_pool::large_size;

  echo_session(const session_options& options, buffer_pool& pool) noexcept
      : options_(&options), pool_(&pool) {}
  echo_session(const echo_session&) = delete;
  echo_session& operator=(const echo_session&) = delete;
  ~echo_session() { release_buffer(); }

  // Where to receive next; the address is stable until received(). Empty: do not read now, because the peer
  // does not read or because the session is finished. It is never empty when nothing is pending, nothing is
  // deferred and the session is not finished.
  std::span<std::byte> recv_space();

  // n bytes were put at the beginning of recv_space(); 0 when there was nothing to read after all.
  void received(std::size_t n) noexcept;

  // Takes bytes that the transport owns; returns how many were taken, the rest must be offered again.
  std::size_t offer(std::span<const std::byte> bytes);

  // End of input: the peer will send no more. Inside a frame it counts as short.
  void peer_finished() noexcept;

  // The server stops: n more bytes are accepted, those which the system has received already; then it is
  // finished.
  void finish_after(std::size_t n) noexcept;

  // Ready to go; the address is stable until sent(), whatever arrives.
  std::span<const std::byte> pending() const noexcept { return {buffer_ + sent_, buffer_ + out_}; }
  void sent(std::size_t n) noexcept;

  // A request that the model must carry out now: given once, and only when all earlier replies are sent.
  std::optional<deferred_request> take_deferred() noexcept;
  void complete_deferred() noexcept;

  // Input is held that has not been answered yet.
  bool has_input() const noexcept { return in_ != end_; }

  // All is flushed and nothing more will be accepted: close.
  bool finished() const noexcept { return ended_ && sent_ == out_; }
  // The peer has ended its side, so that closing need not wait for it.
  bool peer_has_finished() const noexcept { return peer_finished_; }

  // Gives the buffer back if it is empty: before waiting for readability. Not while recv_space() is in use.
  void park() noexcept {
    if (sent_ == out_ && in_ == end_) release_buffer();
  }

  // Adds this connection to the totals; once, when it ends.
  void add_to(server_totals& totals) const noexcept;

private:
  enum class deferral : std::uint8_t { none, waiting, taken };
  enum class payload : std::uint8_t { echo, upper, skip };

  void advance() noexcept;
  void advance_frames() noexcept;
  void advance_lines() noexcept;
  void answer(frame_status status) noexcept;
  void emit(std::size_t n, bool upper) noexcept;
  void count_request() noexcept;
  void end(std::optional<server_error> reason) noexcept;
  void make_room();
  void release_buffer() noexcept;

  const session_options* options_;
  buffer_pool* pool_;
  std::byte* buffer_ = nullptr;
  std::uint32_t capacity_ = 0;
  std::uint32_t sent_ = 0;
  std::uint32_t out_ = 0;
  std::uint32_t in_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t scanned_ = 0;       // line: no '\n' in [in_, scanned_)
  std::uint32_t payload_left_ = 0;  // frame: of the request that is being answered
  std::uint32_t unknown_ops_ = 0;
  std::uint32_t params_too_large_ = 0;
  payload payload_ = payload::echo;
  deferral deferral_ = deferral::none;  // of the request whose header is at in_
  bool wants_large_ = false;
  bool peer_finished_ = false;
  bool ended_ = false;
  std::optional<server_error> ended_by_;
  std::uint64_t accepts_ = std::numeric_limits<std::uint64_t>::max();  // bytes, before it ends
  std::uint64_t requests_ = 0;
  std::uint64_t bytes_in_ = 0;
  std::uint64_t bytes_out_ = 0;
  std::chrono::nanoseconds burnt_{0};
};

inline std::span<std::byte> echo_session::recv_space() {
  if (ended_ || peer_finished_) return {};
  if (sent_ == out_) make_room();
  return {buffer_ + end_, static_cast<std::size_t>(std::min<std::uint64_t>(capacity_ - end_, accepts_))};
}

inline void echo_session::received(std::size_t n) noexcept {
  bytes_in_ += n;
  if (ended_) return;
  end_ += static_cast<std::uint32_t>(n);
  wants_large_ = end_ >= buffer_pool::small_size;
  accepts_ -= std::min<std::uint64_t>(n, accepts_);
  if (options_->framing == framing::raw && n > 0) {
    count_request();
    emit(n, options_->service == service::upper);
  }
  advance();
}

inline std::size_t echo_session::offer(std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const auto space = recv_space();
    if (space.empty()) break;
    const std::size_t n = std::min(space.size(), bytes.size() - taken);
    std::memcpy(space.data(), bytes.data() + taken, n);
    received(n);
    taken += n;
  }
  return ended_ ? bytes.size() : taken;
}

inline void echo_session::peer_finished() noexcept {
  peer_finished_ = true;
  advance();
}

inline void echo_session::finish_after(std::size_t n) noexcept {
  accepts_ = std::min<std::uint64_t>(accepts_, n);
  advance();
}

inline void echo_session::sent(std::size_t n) noexcept {
  assert(n <= out_ - sent_);
  sent_ += static_cast<std::uint32_t>(n);
  bytes_out_ += n;
}

inline std::optional<deferred_request> echo_session::take_deferred() noexcept {
  if (deferral_ != deferral::waiting || sent_ != out_) return std::nullopt;
  deferral_ = deferral::taken;
  const frame_header request =
      decode_header(std::span<const std::byte, frame_header_size>(buffer_ + in_, frame_header_size));
  return deferred_request{
      .what = request.op == frame_op::sleep ? deferred_request::kind::sleep : deferred_request::kind::work,
      .offload = request.op == frame_op::work && (request.flags & flag_offload) != 0,
      .duration = std::chrono::microseconds(request.param)};
}

inline void echo_session::complete_deferred() noexcept {
  assert(deferral_ == deferral::taken);
  deferral_ = deferral::none;
  answer(frame_status::ok);
  advance();
}

inline void echo_session::add_to(server_totals& totals) const noexcept {
  totals.requests += requests_;
  totals.bytes_in += bytes_in_;
  totals.bytes_out += bytes_out_;
  totals.burnt += burnt_;
  totals.count(server_error::unknown_op, unknown_ops_);
  totals.count(server_error::param_too_large, params_too_large_);
  if (ended_by_) totals.count(*ended_by_);
}

inline void echo_session::advance() noexcept {
  switch (options_->framing) {
    case framing::frame: advance_frames(); break;
    case framing::line: advance_lines(); break;
    case framing::raw: break;
  }
  if (ended_ || deferral_ != deferral::none || (!peer_finished_ && accepts_ > 0)) return;

  // No more input will come and all that can be answered is.
  const bool inside_frame = options_->framing == framing::frame && (in_ != end_ || payload_left_ > 0);
  if (peer_finished_ && options_->framing == framing::line &&
      in_ != end_) {  // the last line may lack its end
    count_request();
    emit(end_ - in_, options_->service == service::upper);
  }
  end(peer_finished_ && inside_frame ? std::optional(server_error::short_input) : std::nullopt);
}

inline void echo_session::advance_frames() noexcept {
  while (!ended_ && deferral_ == deferral::none) {
    const std::uint32_t available = end_ - in_;
    if (payload_left_ > 0) {
      const std::uint32_t n = std::min(payload_left_, available);
      if (n == 0) return;
      if (payload_ == payload::skip) {
        in_ += n;
      } else {
        emit(n, payload_ == payload::upper);
      }
      payload_left_ -= n;
      continue;
    }
    if (available < frame_header_size) return;
    const frame_header request =
        decode_header(std::span<const std::byte, frame_header_size>(buffer_ + in_, frame_header_size));
    const frame_status status = check_request(request, options_->limits);
    count_request();
    if (status == frame_status::ok && (request.op == frame_op::work || request.op == frame_op::sleep)) {
      deferral_ = deferral::waiting;
      return;
    }
    answer(status);
  }
}

// Turns the header at in_ round. What follows of the request is then its payload.
inline void echo_session::answer(frame_status status) noexcept {
  const std::span<std::byte, frame_header_size> wire(buffer_ + in_, frame_header_size);
  const frame_header request = decode_header(wire);
  encode_header(reply_to(request, status), wire);
  emit(frame_header_size, false);
  payload_left_ = request.length;
  payload_ = request.op == frame_op::upper ? payload::upper : payload::echo;
  switch (status) {
    case frame_status::ok: break;
    case frame_status::unknown_op:
      ++unknown_ops_;
      payload_ = payload::skip;
      break;
    case frame_status::param_too_large:
      ++params_too_large_;
      payload_ = payload::skip;
      break;
    case frame_status::too_large: end(server_error::too_large); break;
    case frame_status::bad_version: end(server_error::bad_version); break;
  }
}

inline void echo_session::advance_lines() noexcept {
  while (!ended_ && scanned_ < end_) {
    const void* found = std::memchr(buffer_ + scanned_, '\n', end_ - scanned_);
    if (found == nullptr) {
      scanned_ = end_;
      if (end_ - in_ == max_line) end(server_error::line_too_long);
      return;
    }
    scanned_ = static_cast<std::uint32_t>(static_cast<const std::byte*>(found) - buffer_) + 1;
    count_request();
    emit(scanned_ - in_, options_->service == service::upper);
  }
}

// The next n bytes of input become output.
inline void echo_session::emit(std::size_t n, bool upper) noexcept {
  if (out_ != in_) std::memmove(buffer_ + out_, buffer_ + in_, n);
  if (upper) to_upper_ascii({buffer_ + out_, n});
  out_ += static_cast<std::uint32_t>(n);
  in_ += static_cast<std::uint32_t>(n);
}

inline void echo_session::count_request() noexcept {
  ++requests_;
  if (options_->burn.wanted()) burnt_ += options_->burn();
}

inline void echo_session::end(std::optional<server_error> reason) noexcept {
  ended_ = true;
  ended_by_ = reason;
}

// Nothing is pending: the unanswered input moves to the front of a buffer of the size that the last input
// asked for.
inline void echo_session::make_room() {
  const std::uint32_t length = end_ - in_;
  const bool large = wants_large_ || length >= buffer_pool::small_size;
  const std::uint32_t size = large ? buffer_pool::large_size : buffer_pool::small_size;
  std::byte* old = buffer_;
  const std::uint32_t old_size = capacity_;
  const bool exchange = size > capacity_ || (length == 0 && size != capacity_);
  if (exchange) {
    buffer_ = pool_->borrow(size);
    capacity_ = size;
  }
  if (length > 0 && (exchange || in_ > 0)) std::memmove(buffer_, old + in_, length);
  if (exchange && old != nullptr) pool_->give_back(old, old_size);
  scanned_ -= std::min(scanned_, in_);
  sent_ = out_ = in_ = 0;
  end_ = length;
}

inline void echo_session::release_buffer() noexcept {
  if (buffer_ != nullptr) pool_->give_back(buffer_, capacity_);
  buffer_ = nullptr;
  capacity_ = 0;
  sent_ = out_ = in_ = end_ = scanned_ = 0;
}

}  // namespace echobench
