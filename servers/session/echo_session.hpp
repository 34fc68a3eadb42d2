// One connection's protocol, without I/O: what has arrived goes in, what is to be sent comes out. A request
// is turned into its reply in place. Not thread-safe: one caller at a time.
#pragma once

#include "common/frame.hpp"
#include "servers/session/burn.hpp"
#include "servers/session/in_place_buffer.hpp"
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

enum class service : std::uint8_t { echo, upper };  // of line and raw; with frame a request names its op

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
  static constexpr std::size_t max_line = in_place_buffer::max_size;

  echo_session(const session_options& options, buffer_pool& pool) noexcept
      : options_(&options), buffer_(pool) {}
  echo_session(const echo_session&) = delete;
  echo_session& operator=(const echo_session&) = delete;

  // Where to receive next; the address is stable until received(). Empty: do not read now, because the peer
  // does not read or has finished. Never empty if nothing is pending and nothing is deferred. What is
  // received after the session has finished is discarded.
  std::span<std::byte> recv_space();

  // n bytes were put at the beginning of recv_space(); 0 when there was nothing to read after all.
  void received(std::size_t n) noexcept;

  // Takes bytes that the transport owns; returns how many were taken. The rest must be offered again.
  std::size_t offer(std::span<const std::byte> bytes);

  // End of input: the peer will send no more. Inside a frame it counts as short.
  void peer_finished() noexcept {
    peer_finished_ = true;
    advance();
  }

  // The server stops: n more bytes are accepted, those that the system has received already; then the session
  // is finished.
  void finish_after(std::size_t n) noexcept {
    accepts_ = std::min<std::uint64_t>(accepts_, n);
    advance();
  }

  // Ready to go; the address is stable until sent(), whatever arrives.
  std::span<const std::byte> pending() const noexcept { return buffer_.output(); }
  void sent(std::size_t n) noexcept;

  // A request that the model must carry out now. Returned once, when all earlier replies have been sent.
  std::optional<deferred_request> take_deferred() noexcept;
  void complete_deferred() noexcept;

  // There is input that has not been answered yet.
  bool has_input() const noexcept { return !buffer_.input().empty(); }

  // Nothing more will be accepted.
  bool ended() const noexcept { return ended_; }
  // Everything is flushed and nothing more will be accepted: close.
  bool finished() const noexcept { return ended_ && pending().empty(); }
  // The peer has ended its side: closing need not wait for it.
  bool peer_has_finished() const noexcept { return peer_finished_; }

  // Returns the buffer to the pool if it is empty; to be called before waiting for input. Not while
  // recv_space() is in use.
  void park() noexcept { buffer_.park(); }

  // Adds this connection to the totals; once, when it ends.
  void add_to(server_totals& totals) const noexcept;

private:
  enum class deferral : std::uint8_t { none, waiting, taken };
  enum class payload : std::uint8_t { echo, upper, skip };

  void advance() noexcept;
  void advance_frames() noexcept;
  void advance_lines() noexcept;
  void end_of_input() noexcept;
  void answer(frame_status status) noexcept;
  void refused(frame_status status) noexcept;
  void emit(std::size_t n, bool upper) noexcept;
  void count_request() noexcept;
  void end(std::optional<server_error> reason) noexcept {
    ended_ = true;
    ended_by_ = reason;
    buffer_.skip(buffer_.input().size());
  }
  frame_header header() const noexcept { return decode_header(wire_header()); }
  std::span<std::byte, frame_header_size> wire_header() const noexcept {
    return buffer_.input().first<frame_header_size>();
  }

  const session_options* options_;
  in_place_buffer buffer_;
  std::uint32_t scanned_ = 0;       // line: no '\n' in so many bytes of input
  std::uint32_t payload_left_ = 0;  // frame: of the request that is being answered
  std::uint32_t unknown_ops_ = 0;
  std::uint32_t params_too_large_ = 0;
  payload payload_ = payload::echo;
  deferral deferral_ = deferral::none;  // of the request that the input begins with
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
  if (peer_finished_ || (ended_ && !pending().empty())) return {};
  const auto space = buffer_.free_space();
  if (ended_) return space;
  return space.first(static_cast<std::size_t>(std::min<std::uint64_t>(space.size(), accepts_)));
}

inline void echo_session::received(std::size_t n) noexcept {
  buffer_.filled(n);
  if (ended_) return buffer_.skip(n);
  bytes_in_ += n;
  accepts_ -= std::min<std::uint64_t>(n, accepts_);
  if (options_->framing == framing::raw && n > 0) {
    count_request();
    emit(n, options_->service == service::upper);
  }
  advance();
}

inline std::size_t echo_session::offer(std::span<const std::byte> bytes) {
  buffer_.expect(bytes.size());
  std::size_t taken = 0;
  while (taken < bytes.size() && !ended_) {
    const auto space = recv_space();
    if (space.empty()) break;
    const std::size_t n = std::min(space.size(), bytes.size() - taken);
    std::memcpy(space.data(), bytes.data() + taken, n);
    received(n);
    taken += n;
  }
  return ended_ ? bytes.size() : taken;
}

inline void echo_session::sent(std::size_t n) noexcept {
  buffer_.sent(n);
  bytes_out_ += n;
}

inline std::optional<deferred_request> echo_session::take_deferred() noexcept {
  if (deferral_ != deferral::waiting || !pending().empty()) return std::nullopt;
  deferral_ = deferral::taken;
  const frame_header request = header();
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

inline void echo_session::advance() noexcept {
  switch (options_->framing) {
    case framing::frame: advance_frames(); break;
    case framing::line: advance_lines(); break;
    case framing::raw: break;
  }
  if ((peer_finished_ || accepts_ == 0) && !ended_ && deferral_ == deferral::none) end_of_input();
}

inline void echo_session::advance_frames() noexcept {
  while (!ended_ && deferral_ == deferral::none) {
    const std::size_t available = buffer_.input().size();
    if (payload_left_ > 0) {
      const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(payload_left_, available));
      if (n == 0) return;
      if (payload_ == payload::skip) {
        buffer_.skip(n);
      } else {
        emit(n, payload_ == payload::upper);
      }
      payload_left_ -= n;
      continue;
    }
    if (available < frame_header_size) return;
    const frame_header request = header();
    const frame_status status = check_request(request, options_->limits);
    count_request();
    if (status == frame_status::ok && (request.op == frame_op::work || request.op == frame_op::sleep)) {
      deferral_ = deferral::waiting;
      return;
    }
    answer(status);
  }
}

inline void echo_session::answer(frame_status status) noexcept {
  const frame_header request = header();
  encode_header(reply_to(request, status), wire_header());
  emit(frame_header_size, false);
  payload_left_ = request.length;
  payload_ = request.op == frame_op::upper ? payload::upper : payload::echo;
  if (status != frame_status::ok) refused(status);
}

// The next n bytes of input become output.
inline void echo_session::emit(std::size_t n, bool upper) noexcept {
  const auto emitted = buffer_.emit(n);
  if (upper) to_upper_ascii(emitted);
}

inline void echo_session::count_request() noexcept {
  ++requests_;
  if (options_->burn.wanted()) burnt_ += options_->burn();
}

}  // namespace echobench
