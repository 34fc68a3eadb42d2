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
  constexpr int at_once = 128;  // then the existing connections are served
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

void readiness_loop::serve(connection& conn) {
  receive_available(conn.state, conn.socket.get());
  if (conn.state.next() == step::work && works_itself(conn)) {  // once; then the others come
    conn.state.burn();
    conn.state.carried_out();
  }
  take_steps(conn);
}

void readiness_loop::hand_out(connection& conn) {
  conn.handed_out = true;
  if (conn.watched != interest::nothing) watch(conn, interest::nothing);
  conn.watched = interest::nothing;
}

void readiness_loop::take_steps(connection& conn) {
  advance(conn.state, conn.socket.get());
  wait_for_next(conn);
}

void readiness_loop::stop(connection& conn) { conn.state.stop(bytes_readable(conn.socket.get())); }

void readiness_loop::go_on_accepting() { watch_listeners(true) ? accept_available() : pause(); }

void readiness_loop::pause() {
  watch_listeners(false);
  pause_accepting();
}

void readiness_loop::wait_for_next(connection& conn) {
  interest wanted = interest::nothing;
  switch (conn.state.next()) {
    case step::receive:
      conn.state.park();
      wanted = interest::readable;
      break;
    case step::send: wanted = interest::writable; break;
    case step::work:
      if (!works_itself(conn)) {
        hand_out(conn);
        return hand_out_work(conn);
      }
      wanted = interest::writable;  // at once
      break;
    case step::sleep:  // watching nothing: a peer that resets meanwhile would be reported without end
    case step::end_sending: break;
    case step::close: return destroy(conn);
  }
  if (wanted != conn.watched && !watch(conn, wanted)) {
    totals_.count(server_error::accept);
    return destroy(conn);
  }
  conn.watched = wanted;
  follow(conn);
}

void readiness_loop::destroy(connection& conn) {
  forget(conn);
  remove(conn);
}

}  // namespace echobench
