// One thread that is told when sockets are ready: what it does beside waiting. Listeners that pause,
// connections, alarms, connections that other threads hand back, and the end. How it is told - poll(2),
// epoll(7) - and what it does with a ready connection is the model's.
#pragma once

#include "servers/serving/alarms.hpp"
#include "servers/serving/handed_back.hpp"
#include "servers/serving/server_loops.hpp"

#include <boost/intrusive/list.hpp>
#include <poll.h>

namespace echobench {

class readiness_loop {
public:
  using clock = connection_life::clock;
  using step = connection_life::step;
  // The values are those of poll(2) and epoll(7), which are the same.
  enum class interest : std::uint32_t { nothing = 0, readable = POLLIN, writable = POLLOUT };

  struct connection : boost::intrusive::list_base_hook<>, alarm {
    connection(unique_fd accepted, const shared_by_loops& shared, buffer_pool& pool)
        : socket(std::move(accepted)), life(shared.options.connection, pool, shared.drain) {}

    unique_fd socket;
    connection_life life;
    interest watched = interest::nothing;  // what the system has been asked to report
    std::size_t place = 0;    // the model's own: where it stands in what is waited with; 0: nowhere
    bool handed_out = false;  // another thread has it
  };

  readiness_loop(const readiness_loop&) = delete;
  readiness_loop& operator=(const readiness_loop&) = delete;

  // When the loop has ended.
  const server_totals& totals() const noexcept { return totals_; }

protected:
  // Serves the listeners of loop `index`, and closes them when the server stops. References must outlive it.
  readiness_loop(shared_by_loops& shared, unsigned index, buffer_pool& pool);
  ~readiness_loop() = default;

  // ---- what the model does

  // Has the system report this of the connection and nothing else; false when the system lacks memory.
  virtual bool watch(connection& who, interest what) noexcept = 0;
  // Likewise of the listeners, all of them or none.
  virtual bool watch_listeners(bool wanted) noexcept = 0;
  // The connection ends.
  virtual void forget(connection&) noexcept {}
  // The connection's next step is to work, and another thread is to do that: it has been handed out. By the
  // offload pool, if the model has nothing else.
  virtual void work_elsewhere(connection& who);
  // Where --offload leaves a choice: work that is not offloaded is done by whoever serves the connection.
  virtual bool works_itself(const connection& who) const noexcept { return !who.life.offloads(); }

  // ---- what the model calls, on the loop's thread

  void begin_accepting();
  bool over() const noexcept { return draining_ && connections_.empty(); }
  // How long the loop may wait. `never`: until it is told something.
  clock::time_point wake_at() const;
  void accept_available();
  // The connection is ready, or its alarm has come: takes its steps as far as that needs no waiting.
  void serve(connection& who);
  // Its steps have been taken: has the system report what it waits for.
  void resume(connection& who);
  // Another thread has it from now on.
  void hand_out(connection& who);
  // After each wait: attends to alarms, pauses and the end; when woken, takes back what was handed out.
  void attend(bool woken);

  // ---- from any thread

  // The connection comes back, and the other thread lets go of it. If its next step is to work, that is done.
  void hand_back(connection& who) { handed_back_.push(who); }

  shared_by_loops& shared_;
  const std::vector<unique_fd>& listeners_;
  wake_event wake_;  // readable when something came back, or the server stops

private:
  struct signaller {
    const wake_event* event;
    void operator()() const noexcept { event->signal(); }
  };

  bool open_accepting();
  void pause_accepting();
  void destroy(connection& who);
  void take_back();
  void call_due();
  void begin_draining();
  void abort_all();

  unsigned index_;
  buffer_pool& pool_;
  boost::intrusive::list<connection> connections_;
  alarms<connection> alarms_;
  clock::time_point accept_at_ = connection_life::never;  // accepting has paused until then
  bool accepting_ = false;
  bool draining_ = false;
  server_totals totals_;
  handed_back<connection> handed_back_{wake_};
  std::stop_callback<signaller> on_stop_;
};

}  // namespace echobench
