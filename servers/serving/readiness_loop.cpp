#include "servers/serving/readiness_loop.hpp"

#include "servers/serving/nonblocking.hpp"

#include <cerrno>
#include <system_error>

namespace echobench {

void readiness_loop::begin_accepting() {
  if (!watch_listeners(true)) throw std::system_error(errno, std::system_category(), "watching a listener");
}

void readiness_loop::accept_available() {
  if (draining() || accepting_pauses()) return;
  constexpr int at_once = 128;  // then the connections that exist have their turn
  for (const unique_fd& listener : listeners_) {
    for (int i = 0; i < at_once; ++i) {
      if (full()) return pause();
      unique_fd socket = accept_connection(listener.get(), accepted_socket::non_blocking);
      if (!socket) {
        if (!accept_must_pause(errno)) break;
        totals_.count(server_error::accept);
        return pause();
      }
      wait_for_next(admit(std::move(socket)));
    }
  }
}

void readiness_loop::serve(connection& who) {
  receive_available(who.state, who.socket.get());
  if (who.state.next() == step::work && works_itself(who)) {  // once; then others have their turn
    who.state.burn();
    who.state.carried_out();
  }
  take_steps(who);
}

void readiness_loop::hand_out(connection& who) {
  who.handed_out = true;
  if (who.watched != interest::nothing) watch(who, interest::nothing);
  who.watched = interest::nothing;
}

void readiness_loop::take_steps(connection& who) {
  advance(who.state, who.socket.get());
  wait_for_next(who);
}

void readiness_loop::stop(connection& who) { who.state.stop(bytes_readable(who.socket.get())); }

void readiness_loop::go_on_accepting() { watch_listeners(true) ? accept_available() : pause(); }

void readiness_loop::pause() {
  watch_listeners(false);
  pause_accepting();
}

void readiness_loop::wait_for_next(connection& who) {
  interest wanted = interest::nothing;
  switch (who.state.next()) {
    case step::receive:
      who.state.park();
      wanted = interest::readable;
      break;
    case step::send: wanted = interest::writable; break;
    case step::work:
      if (!works_itself(who)) {
        hand_out(who);
        return hand_out_work(who);
      }
      wanted = interest::writable;  // at once
      break;
    case step::sleep:  // or a peer that resets meanwhile would be reported without end
    case step::end_sending: break;
    case step::close: return destroy(who);
  }
  if (wanted != who.watched && !watch(who, wanted)) {
    totals_.count(server_error::accept);
    return destroy(who);
  }
  who.watched = wanted;
  follow(who);
}

void readiness_loop::destroy(connection& who) {
  forget(who);
  remove(who);
}

}  // namespace echobench
