// A loop that waits until sockets are ready, and takes the steps of their connections itself. A model defines
// what it waits with: poll(2), epoll(7).
#pragma once

#include "servers/serving/event_loop.hpp"

#include <poll.h>

namespace echobench {

// The values are those of poll(2) and epoll(7), which are the same.
enum class interest : std::uint32_t { nothing = 0, readable = POLLIN, writable = POLLOUT };

struct readiness_connection : loop_connection {
  using loop_connection::loop_connection;

  interest watched = interest::nothing;  // what the system has been asked to report
  std::size_t place = 0;  // for the model: where the socket stands in what it waits with; 0: nowhere
};

class readiness_loop : public event_loop<readiness_connection> {
public:
  using connection = readiness_connection;

protected:
  using event_loop::event_loop;
  ~readiness_loop() = default;

  // ---- what a model defines

  // From now on the system reports this for the connection and nothing else; false if it lacks memory.
  virtual bool watch(connection& conn, interest what) noexcept = 0;
  // From now on the system reports connections to accept, at all listeners or at none; false if it lacks
  // memory.
  virtual bool watch_listeners(bool wanted) noexcept = 0;
  // The connection ends.
  virtual void forget(connection&) noexcept {}
  // The connection's next step is to work: whether its loop does that, or the thread to which the connection
  // is handed out.
  virtual bool works_itself(const connection& conn) const noexcept { return !conn.state.offloads(); }
  virtual void hand_out_work(connection& conn) { work_elsewhere(conn); }

  // ---- what a model calls

  void begin_accepting();
  void accept_available();
  // The connection is ready: receives, if that is next, and takes its steps.
  void serve(connection& conn);
  // Another thread has it from now on.
  void hand_out(connection& conn);

private:
  void take_steps(connection& conn) override;
  void stop(connection& conn) override;
  void go_on_accepting() override;
  void end_accepting() override { watch_listeners(false); }
  void pause();
  void wait_for_next(connection& conn);
  void destroy(connection& conn);
};

}  // namespace echobench
