// libevent: an event_base for each thread, and a bufferevent for each connection. It waits in epoll_wait(2),
// reads into an evbuffer and calls back; what is added to the other evbuffer is sent when the socket has been
// reported as writable.
//
// For a single request these are 7 system calls, where epoll makes 3: the size of the input is asked for, the
// socket watched for writing, waited for, and no longer watched; and 4.1 thousand instructions, where libuv
// has 1.1. CPU time was 1.4 to 1.6 times that of epoll at equal load (raw, 100 and 1,000 connections),
// and 1.5 at saturation. It is not the copies: a reply is added by reference, which saves 35 instructions of
// 64 bytes; the input is copied into the session's buffer.
//
// Connections are accepted when an event reports them: an evconnlistener accepts one beyond
// --max-connections.
#include "servers/serving/event_loop.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/turns.hpp"
#include "servers/variants.hpp"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <system_error>
#include <utility>

namespace echobench {
namespace {

template <class Object, void (*Free)(Object*)>
struct freed_by {
  void operator()(Object* object) const noexcept { Free(object); }
};
template <class Object, void (*Free)(Object*)>
using owned = std::unique_ptr<Object, freed_by<Object, Free>>;
using owned_base = owned<event_base, ::event_base_free>;
using owned_event = owned<event, ::event_free>;

template <class Pointer>
Pointer checked(Pointer made, const char* what) {
  if (!made) throw std::system_error(errno != 0 ? errno : ENOMEM, std::system_category(), what);
  return made;
}

// Whether there was memory for it.
bool add(const owned_event& watched) noexcept { return ::event_add(watched.get(), nullptr) == 0; }

class libevent_loop;

struct connection : loop_connection {
  using loop_connection::loop_connection;

  evbuffer* input() const noexcept { return ::bufferevent_get_input(buffers.get()); }
  evbuffer* output() const noexcept { return ::bufferevent_get_output(buffers.get()); }
  int descriptor() const noexcept { return ::bufferevent_getfd(buffers.get()); }

  libevent_loop* loop = nullptr;
  owned<bufferevent, ::bufferevent_free> buffers;
  std::size_t sending = 0;  // bytes that the output refers to
  bool ended = false;       // the peer sends no more
};

class libevent_loop final : public event_loop<connection> {
public:
  static constexpr description about{
      .name = "libevent",
      .summary = "libevent, a bufferevent for each connection, an event_base for each thread",
      .family = model_family::callbacks,
      .waits = "a library's loop, in epoll_wait(2); it calls back when it has read or written",
      .threads = "N loops",
      .colour = "#1b7c83"};
  static std::string_view unavailable_reason() { return ""; }

  libevent_loop(shared_by_loops& shared, unsigned index) : event_loop(shared, index, pool_) {
    for (const unique_fd& listener : listeners_) {
      listening_.emplace_back(checked(
          ::event_new(base_.get(), listener.get(), EV_READ | EV_PERSIST, on_acceptable, this), "event_new"));
    }
    if (!watch_listeners() || !add(waker_)) {
      throw std::system_error(errno, std::system_category(), "event_add");
    }
  }

  void run() {
    while (!over()) {
      set_timer(wake_at());
      turns_of_this_thread.add();
      ::event_base_loop(base_.get(), EVLOOP_ONCE);
      attend(std::exchange(woken_, false));
    }
  }

private:
  static libevent_loop& of(void* self) { return *static_cast<libevent_loop*>(self); }

  // ---- accepting

  bool watch_listeners() noexcept { return std::ranges::all_of(listening_, add); }

  void go_on_accepting() override {
    if (watch_listeners()) return;
    end_accepting();  // at those that it has watched
    acceptor_.pause();
  }
  void end_accepting() override {
    for (const owned_event& listener : listening_) ::event_del(listener.get());
  }

  static void on_acceptable(int, short, void* self) { of(self).accept_available(); }

  void accept_available() {
    if (draining() || acceptor_.pauses()) return;
    const auto admitted = [this](unique_fd socket) { begin(std::move(socket)); };
    if (!acceptor_.accept_available(totals_, admitted)) end_accepting();
  }

  void begin(unique_fd socket) {
    connection& conn = admit(std::move(socket));
    conn.loop = this;
    conn.buffers.reset(::bufferevent_socket_new(base_.get(), conn.socket.get(), BEV_OPT_CLOSE_ON_FREE));
    if (!conn.buffers) {
      conn.state.turned_away();
      return remove(conn);
    }
    conn.socket.release();  // the bufferevent has it
    ::bufferevent_setcb(conn.buffers.get(), on_read, on_sent, on_end, &conn);
    take_steps(conn);
  }

  // ---- the steps of a connection

  void take_steps(connection& conn) override {
    for (;;) {
      switch (conn.state.next()) {
        case step::receive:
          if (take_input(conn)) break;
          conn.state.park();
          if (conn.ended || reads(conn) || watch(conn, EV_READ)) return follow(conn);
          conn.state.turned_away();
          break;
        case step::send:
          if (conn.sending > 0 || send(conn)) return wait(conn);
          conn.state.turned_away();
          break;
        case step::work:
          ::bufferevent_disable(conn.buffers.get(), EV_READ);  // no callbacks
          if (conn.state.offloads()) return work_elsewhere(conn);
          conn.state.burn();
          conn.handed_out = true;
          return hand_back(conn);  // the others come first
        case step::sleep: return wait(conn);
        case step::end_sending:
          ::shutdown(conn.descriptor(), SHUT_WR);
          conn.state.sending_ended();
          break;
        case step::close: return remove(conn);
      }
    }
  }

  void stop(connection& conn) override {
    conn.state.stop(bytes_readable(conn.descriptor()) + ::evbuffer_get_length(conn.input()));
  }

  // For anything but input, which may come all the same. Not by a high watermark: libevent would call back
  // again and again (bufferevent_inbuf_wm_check).
  void wait(connection& conn) {
    if (::evbuffer_get_length(conn.input()) >= most_buffered) {
      ::bufferevent_disable(conn.buffers.get(), EV_READ);
    }
    follow(conn);
  }

  static bool reads(const connection& conn) noexcept {
    return (::bufferevent_get_enabled(conn.buffers.get()) & EV_READ) != 0;
  }
  // False if there is no memory.
  static bool watch(const connection& conn, short events) noexcept {
    return ::bufferevent_enable(conn.buffers.get(), events) == 0;
  }

  // False if there is none.
  static bool take_input(connection& conn) {
    if (::evbuffer_get_length(conn.input()) > 0) {
      const auto space = conn.state.space();
      const int n = ::evbuffer_remove(conn.input(), space.data(), space.size());
      conn.state.received(static_cast<std::size_t>(n));
    } else if (conn.ended) {
      conn.state.received(0);
    } else {
      return false;
    }
    return true;
  }

  // False if there is no memory. A bufferevent that has output has its socket watched, and does not say
  // whether that succeeded, which is certain only if the socket is watched already, to read.
  static bool send(connection& conn) {
    const auto bytes = conn.state.pending();
    conn.sending = bytes.size();
    return ::evbuffer_add_reference(conn.output(), bytes.data(), bytes.size(), nullptr, nullptr) == 0 &&
           (reads(conn) || watch(conn, EV_WRITE));
  }

  static void on_read(bufferevent*, void* data) { serve(*static_cast<connection*>(data)); }

  static void on_sent(bufferevent*, void* data) {
    connection& conn = *static_cast<connection*>(data);
    conn.state.sent(std::exchange(conn.sending, 0));
    serve(conn);
  }

  static void on_end(bufferevent*, short events, void* data) {
    connection& conn = *static_cast<connection*>(data);
    if ((events & BEV_EVENT_ERROR) != 0) conn.state.failed();
    conn.ended = true;
    serve(conn);
  }

  static void serve(connection& conn) { conn.loop->take_steps(conn); }

  // ---- waiting

  void set_timer(clock::time_point until) {
    if (until == std::exchange(set_to_, until)) return;
    if (until == connection_state::never) {
      ::event_del(timer_.get());
      return;
    }
    const auto left = std::chrono::ceil<std::chrono::microseconds>(until - clock::now());
    const auto us = std::max(left, std::chrono::microseconds(0)).count();
    const timeval timeout{.tv_sec = us / 1'000'000, .tv_usec = us % 1'000'000};
    ::event_add(timer_.get(), &timeout);
  }

  static void on_time(int, short, void* self) { of(self).set_to_ = connection_state::never; }
  static void on_wake(int, short, void* self) { of(self).woken_ = true; }

  static constexpr std::size_t most_buffered = 4096;  // bytes of input that the session has no room for

  buffer_pool pool_{buffer_pool::use::one_thread};
  owned_base base_{checked(::event_base_new(), "event_base_new")};
  owned_event waker_{
      checked(::event_new(base_.get(), wake_.fd(), EV_READ | EV_PERSIST, on_wake, this), "event_new")};
  owned_event timer_{checked(::event_new(base_.get(), -1, 0, on_time, this), "event_new")};  // for all
  std::vector<owned_event> listening_;
  clock::time_point set_to_ = connection_state::never;
  bool woken_ = false;
};

}  // namespace

const variant variants::libevent = describe<server_of_loops<libevent_loop>>();

}  // namespace echobench
