#include "servers/session/echo_session.hpp"

namespace echobench {

// An error that lets the connection live is followed by a payload, which is skipped.
void echo_session::refused(frame_status status) noexcept {
  payload_ = payload::skip;
  switch (status) {
    case frame_status::ok: break;
    case frame_status::unknown_op: ++unknown_ops_; break;
    case frame_status::param_too_large: ++params_too_large_; break;
    case frame_status::too_large: end(server_error::too_large); break;
    case frame_status::bad_version: end(server_error::bad_version); break;
  }
}

void echo_session::advance_lines() noexcept {
  while (!ended_) {
    const auto input = buffer_.input();
    if (scanned_ == input.size()) return;
    const void* newline = std::memchr(input.data() + scanned_, '\n', input.size() - scanned_);
    if (newline == nullptr) {
      scanned_ = static_cast<std::uint32_t>(input.size());
      if (input.size() == max_line) end(server_error::line_too_long);
      return;
    }
    count_request();
    emit(static_cast<std::size_t>(static_cast<const std::byte*>(newline) - input.data()) + 1,
         options_->service == service::upper);
    scanned_ = 0;
  }
}

// No more input will come, and everything that can be answered has been answered.
void echo_session::end_of_input() noexcept {
  const bool inside_frame = options_->framing == framing::frame && (has_input() || payload_left_ > 0);
  if (peer_finished_ && options_->framing == framing::line &&
      has_input()) {  // the last line may lack its '\n'
    count_request();
    emit(buffer_.input().size(), options_->service == service::upper);
  }
  end(peer_finished_ && inside_frame ? std::optional(server_error::short_input) : std::nullopt);
}

void echo_session::add_to(server_totals& totals) const noexcept {
  totals.requests += requests_;
  totals.bytes_in += bytes_in_;
  totals.bytes_out += bytes_out_;
  totals.burnt += burnt_;
  totals.count(server_error::unknown_op, unknown_ops_);
  totals.count(server_error::param_too_large, params_too_large_);
  if (ended_by_) totals.count(*ended_by_);
}

}  // namespace echobench
