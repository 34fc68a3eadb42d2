// The state of a connection, without I/O: what is to be done next, and what has happened. Models differ in
// how they move bytes and wait; a blocking one, for example:
//
//   for (;;) switch (state.next()) {
//     case step::receive:     state.received(recv(state.space())); break;
//     case step::send:        state.sent(send(state.pending())); break;
//     case step::work:        state.burn(); state.carried_out(); break;
//     case step::sleep:       sleep_until(state.deadline()); state.time_passed(); break;
//     case step::end_sending: shutdown(SHUT_WR); state.sending_ended(); break;
//     case step::close:       return;
//   }
//
// A connection that the server ends is shut down for sending; then input is received and discarded until its
// end, or for linger_time, so that the last reply is not lost to a reset (which close(2) sends if unread
// input is left).
//
// Not thread-safe: one caller at a time, on any thread.
#pragma once

#include "servers/session/drain_clock.hpp"
#include "servers/session/echo_session.hpp"

namespace echobench {

struct connection_options {
  session_options session;
  std::chrono::nanoseconds idle_timeout{0};  // 0: none
};

inline constexpr std::chrono::seconds linger_time{1};

class connection_state {
public:
  using clock = drain_clock::clock;
  static constexpr clock::time_point never = clock::time_point::max();

  enum class step : std::uint8_t {
    receive,      // into space(), then received()
    send,         // pending(), then sent()
    work,         // burn(), here or on another thread, then carried_out()
    sleep,        // until deadline(), then time_passed()
    end_sending,  // shutdown(2) for sending, then sending_ended()
    close,        // the connection is over
  };

  // The arguments must outlive the state.
  connection_state(const connection_options& options, buffer_pool& pool, const drain_clock& drain) noexcept
      : session_(options.session, pool), drain_(&drain), idle_timeout_(options.idle_timeout) {
    touch();
  }

  step next() const noexcept { return next_; }
  // When time_passed() is to be called, whatever else is awaited; any call may change it. `never`: there is
  // none.
  clock::time_point deadline() const noexcept { return deadline_; }

  // Where to receive; never empty when that is the next step. The address is stable until received(). If
  // there is no memory, the client is turned away: the next step is to close.
  std::span<std::byte> space() noexcept;
  // n bytes were put at the beginning of space(); 0: the peer will send no more. Does nothing if the
  // connection has ended.
  void received(std::size_t n) noexcept;
  // Bytes that the transport owns have been received, whatever the next step: returns how many were taken.
  // The others must be offered again when all that is pending has been sent.
  std::size_t offer(std::span<const std::byte> bytes) noexcept;
  // To be called before waiting to receive: the connection then needs no buffer. Not while space() is in use.
  void park() noexcept { session_.park(); }

  // What to send; the address is stable until sent(), whatever arrives.
  std::span<const std::byte> pending() const noexcept { return session_.pending(); }
  void sent(std::size_t n) noexcept;  // short sends are normal
  // The same of what was sent right after the last that happened, and is reported later: the connection has
  // idled since.
  void sent_silently(std::size_t n) noexcept;
  // When all that is pending has been sent, the next step is to receive.
  bool only_receives_then() const noexcept { return !session_.has_input() && !session_.ended(); }

  // Whether the client asks for the work to be done on another thread, so that the loop stays free.
  bool offloads() const noexcept { return request_.offload; }
  // Uses as much CPU time as the request asks for, but gives up when the time to stop is over. From any
  // thread.
  void burn() {
    cut_ = burn_cpu(request_.duration, [this] { return drain_->expired(); }) < request_.duration;
  }
  // The reply is next; if the work was cut, the connection ends instead. Does nothing if it has ended.
  void carried_out() noexcept;

  void sending_ended() noexcept;

  void time_passed() noexcept;                          // does nothing before the deadline
  void failed() noexcept { end(server_error::reset); }  // the transport did, mostly because of a reset
  // The system lacks memory for the connection, or for waiting for it.
  void turned_away() noexcept { end(server_error::accept); }

  // The server stops: `readable` more bytes are accepted, those that the system has received already. May be
  // called again.
  void stop(std::size_t readable) noexcept;
  // The time to stop is over.
  void abort() noexcept;

  // Adds this connection to the totals; once, when it ends.
  void add_to(server_totals& totals) const noexcept {
    session_.add_to(totals);
    if (error_) totals.count(*error_);
  }

private:
  void settle() noexcept;
  void end(std::optional<server_error> error) noexcept;
  bool idles() const noexcept { return next_ <= step::send && !lingering_; }
  void touch() noexcept {
    if (idle_timeout_.count() > 0 && idles()) deadline_ = clock::now() + idle_timeout_;
  }

  echo_session session_;
  const drain_clock* drain_;
  std::chrono::nanoseconds idle_timeout_;
  clock::time_point deadline_ = never;
  deferred_request request_{};
  step next_ = step::receive;
  bool lingering_ = false;
  bool cut_ = false;  // the work, before it was done
  std::optional<server_error> error_;
};

inline std::span<std::byte> connection_state::space() noexcept try {
  return session_.recv_space();
} catch (const std::bad_alloc&) {
  turned_away();
  return {};
}

inline void connection_state::received(std::size_t n) noexcept {
  if (next_ == step::close) return;
  if (n > 0) {
    session_.received(n);
  } else if (lingering_) {
    end({});
  } else {
    session_.peer_finished();
  }
  touch();
  settle();
}

inline void connection_state::sent(std::size_t n) noexcept {
  touch();
  sent_silently(n);
}

inline void connection_state::sent_silently(std::size_t n) noexcept {
  session_.sent(n);
  settle();
}

// While a request is carried out, or the connection lingers or is over, nothing on the wire changes the next
// step.
inline void connection_state::settle() noexcept {
  if (!idles()) return;
  if (!session_.pending().empty()) {
    next_ = step::send;
  } else if (const auto request = session_.take_deferred()) {
    request_ = *request;
    const bool sleeps = request->what == deferred_request::kind::sleep;
    next_ = sleeps ? step::sleep : step::work;
    deadline_ = sleeps ? clock::now() + request->duration : never;
  } else if (!session_.finished()) {
    next_ = step::receive;
  } else if (session_.peer_has_finished()) {
    end({});
  } else {
    next_ = step::end_sending;
  }
}

}  // namespace echobench
