// A loop that is told when sockets are ready, and takes the steps of their connections itself. How it is told
// - poll(2), epoll(7) - is the model's.
#pragma once

#include "servers/serving/event_loop.hpp"

#include <poll.h>

namespace echobench {

// The values are those of poll(2) and epoll(7), which are the same.
enum class interest : std::uint32_t { nothing = 0, readable = POLLIN, writable = POLLOUT };

struct readiness_connection : loop_connection {
  using loop_connection::loop_connection;

  interest watched = interest::nothing;  // what the system has been asked to report
  std::size_t place = 0;  // the model's own: where it stands in what is waited with; 0: nowhere
};

class readiness_loop : public event_loop<readiness_connection> {
public:
  using connection = readiness_connection;

protected:
  using event_loop::event_loop;
  ~readiness_loop() = default;

  // ---- what is the model's

  // Has the system report this of the connection and nothing else; false when the system lacks memory.
  virtual bool watch(connection& who, interest what) noexcept = 0;
  // Likewise of the listeners, all of them or none.
  virtual bool watch_listeners(bool wanted) noexcept = 0;
  // The connection ends.
  virtual void forget(connection&) noexcept {}
  // The connection's next step is to work: whether its loop does that, or else somebody to whom it is handed
  // out.
  virtual bool works_itself(const connection& who) const noexcept { return !who.state.offloads(); }
  virtual void hand_out_work(connection& who) { work_elsewhere(who); }

  // ---- what the model calls

  void begin_accepting();
  void accept_available();
  // The connection is ready: receives, if that is next, and takes its steps.
  void serve(connection& who);
  // Another thread has it from now on.
  void hand_out(connection& who);

private:
  void take_steps(connection& who) override;
  void stop(connection& who) override;
  void go_on_accepting() override;
  void end_accepting() override { watch_listeners(false); }
  void pause();
  void wait_for_next(connection& who);
  void destroy(connection& who);
};

}  // namespace echobench
