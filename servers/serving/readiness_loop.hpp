// A loop that waits until sockets are ready, and takes the steps of their connections itself. A model defines
// what it waits with: poll(2), epoll(7).
#pragma once

#include "servers/serving/event_loop.hpp"
#include "servers/serving/nonblocking.hpp"

#include <poll.h>

#include <cerrno>
#include <system_error>

namespace echobench {

// The values are those of poll(2) and epoll(7), which are the same.
enum class interest : std::uint32_t { nothing = 0, readable = POLLIN, writable = POLLOUT };

struct readiness_connection : loop_connection {
  using loop_connection::loop_connection;

  interest watched = interest::nothing;  // what the system has been asked to report
};

// Connection: a readiness_connection, and what a model adds.
template <class Connection>
class readiness_loop : public event_loop<Connection> {
public:
  using connection = Connection;

protected:
  using base = event_loop<Connection>;
  using step = connection_state::step;
  using base::base;
  ~readiness_loop() = default;

  // ---- what a model defines

  // From now on the system reports this for the connection and nothing else; false if it lacks memory.
  virtual bool watch(connection& conn, interest what) noexcept = 0;
  // From now on the system reports connections to accept, at all listeners or at none; false if it lacks
  // memory.
  virtual bool watch_listeners(bool wanted) noexcept = 0;
  // The connection begins.
  virtual void begin(connection& conn) {
    if (!wait_for_next(conn)) destroy(conn);
  }
  // The connection ends.
  virtual void forget(connection&) noexcept {}

  // ---- what a model calls

  void begin_accepting() {
    if (!watch_listeners(true)) throw std::system_error(errno, std::system_category(), "watching a listener");
  }
  void accept_available();
  // The connection is ready: receives, if that is next, and takes its steps.
  void serve(connection& conn);
  // Has the system report what the connection's next step needs. False: that is to close, perhaps because the
  // system lacks memory; the caller destroys the connection, once nothing refers to it any more.
  bool wait_for_next(connection& conn);

  void destroy(connection& conn);
  void take_steps(connection& conn) override;

private:
  void stop(connection& conn) override { conn.state.stop(bytes_readable(conn.socket.get())); }
  void go_on_accepting() override;
  void end_accepting() override { watch_listeners(false); }
};

template <class Connection>
void readiness_loop<Connection>::accept_available() {
  if (this->draining() || this->acceptor_.pauses()) return;
  const auto admitted = [this](unique_fd socket) { begin(this->admit(std::move(socket))); };
  if (!this->acceptor_.accept_available(this->totals_, admitted)) watch_listeners(false);
}

template <class Connection>
void readiness_loop<Connection>::go_on_accepting() {
  if (watch_listeners(true)) return;
  watch_listeners(false);  // those that it has watched
  this->acceptor_.pause();
}

template <class Connection>
void readiness_loop<Connection>::serve(connection& conn) {
  receive_available(conn.state, conn.socket.get());
  if (conn.state.next() == step::work && !conn.state.offloads()) {  // once; then the others come
    conn.state.burn();
    conn.state.carried_out();
  }
  take_steps(conn);
}

template <class Connection>
void readiness_loop<Connection>::take_steps(connection& conn) {
  advance(conn.state, conn.socket.get());
  if (!wait_for_next(conn)) destroy(conn);
}

template <class Connection>
bool readiness_loop<Connection>::wait_for_next(connection& conn) {
  interest wanted = interest::nothing;
  switch (conn.state.next()) {
    case step::receive:
      conn.state.park();
      wanted = interest::readable;
      break;
    case step::send: wanted = interest::writable; break;
    case step::work:
      if (conn.state.offloads()) break;
      wanted = interest::writable;  // at once
      break;
    case step::sleep:  // watching nothing: a peer that resets meanwhile would be reported without end
    case step::end_sending: break;
    case step::close: return false;
  }
  if (wanted != conn.watched && !watch(conn, wanted)) {
    conn.state.turned_away();
    return false;
  }
  conn.watched = wanted;
  if (conn.state.next() == step::work && wanted == interest::nothing) {
    this->work_elsewhere(conn);
  } else {
    this->follow(conn);
  }
  return true;
}

template <class Connection>
void readiness_loop<Connection>::destroy(connection& conn) {
  forget(conn);
  this->remove(conn);
}

}  // namespace echobench
