// libuv: a uv_loop_t for each thread. It waits in epoll_wait(2), reads into a buffer that it asks for when
// there is something to read, and calls back. Replies are sent by uv_try_write(), and by uv_write() if the
// system's buffer is full, as Node does it: 3 system calls for a single request, as in epoll, and 1.02 +-
// 0.03 of its CPU time (raw, 100 connections, 10,000 and 25,000 requests a second). By uv_write() alone,
// while reading stops, it was 1.08 and 1.23.
//
// Connections are accepted when a uv_poll_t reports them: uv_listen() would close those that come when no
// descriptor is left, and hold one that it has accepted when --max-connections is reached. Times are whole
// milliseconds.
//
// If epoll_ctl(2) lacks memory for a client, or the user's watches are used up
// (/proc/sys/fs/epoll/max_user_watches), libuv ends the process: uv__io_poll() calls abort(3).
#include "servers/serving/event_loop.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/turns.hpp"
#include "servers/variants.hpp"

#include <uv.h>

#include <cerrno>
#include <deque>
#include <system_error>
#include <utility>

namespace echobench {
namespace {

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(-result, std::system_category(), what);
}

struct connection : loop_connection {
  using loop_connection::loop_connection;

  uv_stream_t* stream() noexcept { return reinterpret_cast<uv_stream_t*>(&tcp); }
  int descriptor() noexcept {
    uv_os_fd_t fd = -1;
    ::uv_fileno(reinterpret_cast<uv_handle_t*>(&tcp), &fd);
    return fd;
  }

  uv_tcp_t tcp{};
  uv_write_t write{};
  uv_shutdown_t shutdown{};
  bool requested = false;  // to write or to shut down, which is not completed
  bool reading = false;
};

// A uv_loop_t that closes what is left in it, which must outlive it.
class uv_loop {
public:
  uv_loop() { check(::uv_loop_init(&loop_), "uv_loop_init"); }
  uv_loop(const uv_loop&) = delete;
  uv_loop& operator=(const uv_loop&) = delete;
  ~uv_loop() {
    const auto close = [](uv_handle_t* handle, void*) { ::uv_close(handle, nullptr); };
    ::uv_walk(&loop_, close, nullptr);
    ::uv_run(&loop_, UV_RUN_DEFAULT);
    ::uv_loop_close(&loop_);
  }
  uv_loop_t* get() noexcept { return &loop_; }

private:
  uv_loop_t loop_{};
};

class libuv_loop final : public event_loop<connection> {
public:
  static constexpr description about{
      .name = "libuv",
      .summary = "libuv, callbacks, a uv_loop_t for each thread: what Node runs on",
      .family = model_family::callbacks,
      .waits = "a library's loop, in epoll_wait(2); it calls back when it has read or written",
      .threads = "N loops",
      .colour = "#0598bc"};
  static std::string_view unavailable_reason() { return ""; }

  libuv_loop(shared_by_loops& shared, unsigned index) : event_loop(shared, index, pool_) {
    loop_.get()->data = this;
    check(::uv_timer_init(loop_.get(), &timer_), "uv_timer_init");
    check(::uv_poll_init(loop_.get(), &waker_, wake_.fd()), "uv_poll_init");
    check(::uv_poll_start(&waker_, UV_READABLE, [](uv_poll_t* poll, int, int) { of(poll).woken_ = true; }),
          "uv_poll_start");
    for (const unique_fd& listener : listeners_) {
      check(::uv_poll_init(loop_.get(), &listening_.emplace_back(), listener.get()), "uv_poll_init");
    }
    go_on_accepting();
  }

  void run() {
    while (!over()) {
      set_timer(wake_at());
      turns_of_this_thread.add();
      ::uv_run(loop_.get(), UV_RUN_ONCE);
      attend(std::exchange(woken_, false));
    }
  }

private:
  template <class Handle>
  static libuv_loop& of(const Handle* handle) {
    return *static_cast<libuv_loop*>(handle->loop->data);
  }
  template <class Handle>
  static connection& connection_of(const Handle* handle) {
    return *static_cast<connection*>(handle->data);
  }

  // ---- accepting

  void go_on_accepting() override {
    for (uv_poll_t& listener : listening_) ::uv_poll_start(&listener, UV_READABLE, on_acceptable);
  }
  void end_accepting() override {
    for (uv_poll_t& listener : listening_) ::uv_poll_stop(&listener);
  }

  static void on_acceptable(uv_poll_t* listener, int, int) { of(listener).accept_available(); }

  void accept_available() {
    if (draining() || acceptor_.pauses()) return;
    const auto admitted = [this](unique_fd socket) { begin(admit(std::move(socket))); };
    if (!acceptor_.accept_available(totals_, admitted)) end_accepting();
  }

  void begin(connection& conn) {
    ::uv_tcp_init(loop_.get(), &conn.tcp);
    conn.tcp.data = &conn;
    if (::uv_tcp_open(&conn.tcp, conn.socket.get()) == 0) {
      conn.socket.release();  // the handle has it
    } else {
      conn.state.turned_away();
    }
    take_steps(conn);
  }

  // ---- the steps of a connection

  void take_steps(connection& conn) override {
    for (;;) {
      switch (conn.state.next()) {
        case step::receive:
          conn.state.park();
          start_reading(conn);
          return follow(conn);
        case step::send:
          if (conn.requested || !send(conn)) return wait(conn);
          break;
        case step::work:
          wait(conn);
          if (conn.state.offloads()) return work_elsewhere(conn);
          conn.state.burn();
          conn.handed_out = true;
          return hand_back(conn);  // the others come first
        case step::sleep: return wait(conn);
        case step::end_sending:
          if (conn.requested || shut_down(conn)) return wait(conn);
          conn.state.failed();
          break;
        case step::close: return close(conn);
      }
    }
  }

  void stop(connection& conn) override { conn.state.stop(bytes_readable(conn.descriptor())); }

  // For anything but input.
  void wait(connection& conn) {
    if (std::exchange(conn.reading, false)) ::uv_read_stop(conn.stream());
    follow(conn);
  }

  void start_reading(connection& conn) {
    if (!std::exchange(conn.reading, true)) ::uv_read_start(conn.stream(), give_space, on_read);
  }

  static void give_space(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
    const auto space = connection_of(handle).state.space();
    *buffer = ::uv_buf_init(reinterpret_cast<char*>(space.data()), static_cast<unsigned>(space.size()));
  }

  static void on_read(uv_stream_t* stream, ssize_t n, const uv_buf_t*) {
    connection& conn = connection_of(stream);
    if (n < 0) conn.reading = false;
    if (n > 0 || n == UV_EOF) {
      conn.state.received(n > 0 ? static_cast<std::size_t>(n) : 0);
    } else if (n < 0) {
      conn.state.failed();
    }
    of(stream).take_steps(conn);
  }

  // False if the rest is sent when the system has room for it.
  bool send(connection& conn) {
    const auto bytes = conn.state.pending();
    const uv_buf_t buffer = ::uv_buf_init(const_cast<char*>(reinterpret_cast<const char*>(bytes.data())),
                                          static_cast<unsigned>(bytes.size()));
    const int sent = ::uv_try_write(conn.stream(), &buffer, 1);
    if (sent >= 0) {
      conn.state.sent(static_cast<std::size_t>(sent));
      return true;
    }
    conn.requested = sent == UV_EAGAIN && ::uv_write(&conn.write, conn.stream(), &buffer, 1, on_written) == 0;
    if (!conn.requested) conn.state.failed();
    return !conn.requested;
  }

  static void on_written(uv_write_t* write, int status) {
    connection& conn = connection_of(write->handle);
    conn.requested = false;
    if (status == 0) {
      conn.state.sent(conn.state.pending().size());
    } else if (status != UV_ECANCELED) {
      conn.state.failed();
    }
    of(write->handle).take_steps(conn);
  }

  bool shut_down(connection& conn) {
    return conn.requested = ::uv_shutdown(&conn.shutdown, conn.stream(), on_shut_down) == 0;
  }

  static void on_shut_down(uv_shutdown_t* shutdown, int) {
    connection& conn = connection_of(shutdown->handle);
    conn.requested = false;
    if (conn.state.next() == step::end_sending) conn.state.sending_ended();
    of(shutdown->handle).take_steps(conn);
  }

  void close(connection& conn) {
    auto* handle = reinterpret_cast<uv_handle_t*>(&conn.tcp);
    if (::uv_is_closing(handle)) return;
    ::uv_close(handle, [](uv_handle_t* closed) { of(closed).remove(connection_of(closed)); });
  }

  // ---- waiting

  void set_timer(clock::time_point until) {
    if (until == std::exchange(set_to_, until)) return;
    if (until == connection_state::never) {
      ::uv_timer_stop(&timer_);
      return;
    }
    ::uv_update_time(loop_.get());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
    ::uv_timer_start(&timer_, on_time, static_cast<std::uint64_t>(std::max<decltype(left)>(left, 0)), 0);
  }

  // Time may be up before uv_run() waits: uv_stop() keeps it from waiting.
  static void on_time(uv_timer_t* timer) {
    of(timer).set_to_ = connection_state::never;
    ::uv_stop(timer->loop);
  }

  buffer_pool pool_{buffer_pool::use::one_thread};
  uv_timer_t timer_{};  // for all connections
  clock::time_point set_to_ = connection_state::never;
  uv_poll_t waker_{};
  bool woken_ = false;
  std::deque<uv_poll_t> listening_;
  uv_loop loop_;
};

}  // namespace

const variant variants::libuv = describe<server_of_loops<libuv_loop>>();

}  // namespace echobench
