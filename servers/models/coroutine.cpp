// C++20 coroutines over epoll, without a library: a connection's code reads like that of a blocking server.
// Where that would block, the coroutine is suspended, and the loop resumes it when something has happened to
// the connection.
#include "servers/serving/connection_task.hpp"
#include "servers/serving/epoll_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

struct coroutine_connection : readiness_connection {
  using readiness_connection::readiness_connection;

  connection_task task;
};

class coroutine_loop final : public epoll_loop<coroutine_connection> {
public:
  static constexpr description about{
      .name = "coroutine",
      .summary = "C++20 coroutines over an epoll loop for each thread, without a library",
      .family = model_family::coroutines,
      .waits = "an event loop in epoll_wait(2); a client's coroutine is suspended meanwhile",
      .threads = "N loops",
      .colour = "#e85aad"};
  static std::string_view unavailable_reason() { return ""; }

  using epoll_loop::epoll_loop;

  void run() {
    while (!over()) {
      turn([this](connection& conn, std::uint32_t) { take_steps(conn); });
    }
  }

private:
  // Until the system is ready for the connection's next step, its time has come, or the server stops: the
  // state then determines what is next. Not at all if the system lacks memory: that is to close then.
  struct event {
    coroutine_loop& loop;
    connection& conn;

    bool await_ready() const noexcept { return false; }
    bool await_suspend(std::coroutine_handle<>) const { return loop.wait_for_next(conn); }
    void await_resume() const noexcept {}
  };

  connection_task serve(connection& conn) {
    connection_state& state = conn.state;
    const int socket = conn.socket.get();
    while (state.next() != step::close) {
      co_await event{*this, conn};
      receive_available(state, socket);
      if (state.next() == step::work && !state.offloads()) {  // once; then the others come
        state.burn();
        state.carried_out();
      }
      advance(state, socket);
    }
  }

  void begin(connection& conn) override {
    conn.task = serve(conn);
    if (!conn.task) conn.state.turned_away();
    if (!conn.task || conn.task.done()) destroy(conn);
  }

  void take_steps(connection& conn) override {
    conn.task.resume();
    if (conn.task.done()) destroy(conn);
  }
};

}  // namespace

const variant variants::coroutine = describe<server_of_loops<coroutine_loop>>();

}  // namespace echobench
