#include "servers/session/connection_state.hpp"

namespace echobench {

std::size_t connection_state::offer(std::span<const std::byte> bytes) noexcept try {
  if (next_ == step::close) return bytes.size();
  const std::size_t taken = session_.offer(bytes);
  if (taken > 0) touch();
  settle();
  return taken;
} catch (const std::bad_alloc&) {
  turned_away();
  return bytes.size();
}

void connection_state::carried_out() noexcept {
  if (cut_) abort();
  if (next_ == step::close) return;
  next_ = step::receive;
  deadline_ = never;
  session_.complete_deferred();
  touch();
  settle();
}

void connection_state::sending_ended() noexcept {
  session_.park();
  lingering_ = true;
  deadline_ = clock::now() + linger_time;
  next_ = step::receive;
}

void connection_state::time_passed() noexcept {
  if (deadline_ == never || clock::now() < deadline_) return;
  if (next_ == step::sleep) {
    carried_out();
  } else {
    end(lingering_ ? std::nullopt : std::optional(server_error::idle_timeout));
  }
}

void connection_state::stop(std::size_t readable) noexcept {
  session_.finish_after(readable);
  settle();
}

void connection_state::abort() noexcept {
  end(session_.finished() ? std::nullopt : std::optional(server_error::drain_timeout));
}

void connection_state::end(std::optional<server_error> error) noexcept {
  if (next_ == step::close) return;
  if (!lingering_) error_ = error;
  next_ = step::close;
  deadline_ = never;
}

}  // namespace echobench
