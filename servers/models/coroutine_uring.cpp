// C++20 coroutines over io_uring, without a library: a connection's code reads like that of a blocking
// server. Where that would block, the kernel is asked for what comes next, the coroutine is suspended, and
// the loop resumes it when something has completed.
#include "servers/serving/connection_task.hpp"
#include "servers/serving/uring_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

struct coroutine_connection : uring_connection {
  using uring_connection::uring_connection;

  connection_task task;
};

class coroutine_loop final : public uring_loop<coroutine_connection> {
public:
  static constexpr description about{
      .name = "coroutine-uring",
      .summary = "C++20 coroutines over an io_uring for each thread, without a library",
      .family = model_family::coroutines,
      .waits = "a loop for completions; a client's coroutine is suspended meanwhile",
      .threads = "N rings",
      .colour = "#9a2f6b"};

  using uring_loop::uring_loop;

private:
  // Until something has completed, the connection's time has come, or the server stops: the state then
  // determines what is next.
  struct event {
    coroutine_loop& loop;
    connection& conn;
    bool has_happened = false;

    bool await_ready() const noexcept { return has_happened; }
    void await_suspend(std::coroutine_handle<>) const { loop.follow(conn); }
    void await_resume() const noexcept {}
  };
  event received(connection& conn) { return {*this, conn, receive(conn)}; }
  event sent(connection& conn) { return send(conn), event{*this, conn}; }
  event worked(connection& conn) { return work(conn), event{*this, conn}; }
  event slept(connection& conn) { return {*this, conn}; }
  event completed(connection& conn) { return {*this, conn}; }

  connection_task serve(connection& conn) {
    for (;;) {
      switch (conn.state.next()) {
        case step::receive: co_await received(conn); break;
        case step::send: co_await sent(conn); break;
        case step::work: co_await worked(conn); break;
        case step::sleep: co_await slept(conn); break;
        case step::end_sending: end_sending(conn); break;
        case step::close:
          if (close(conn)) co_return;
          co_await completed(conn);
      }
    }
  }

  void begin(connection& conn) override {
    conn.task = serve(conn);
    if (!conn.task) conn.state.turned_away();
    if (!conn.task || conn.task.done()) remove(conn);
  }

  void take_steps(connection& conn) override {
    conn.task.resume();
    if (conn.task.done()) remove(conn);
  }
};

}  // namespace

const variant variants::coroutine_uring = describe<server_of_loops<coroutine_loop>>();

}  // namespace echobench
