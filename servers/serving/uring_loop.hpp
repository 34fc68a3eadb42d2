// A loop for completions: the parts that are the same in all models on io_uring. The kernel accepts and
// receives on its own (multishot), into buffers that the ring provides; the loop enters the kernel once for a
// whole batch.
//
// A stream is received where it is answered, in pieces of up to 64 KiB, once there is something to receive.
// So it needs none of the ring's buffers, which 500 streams would use up, and no copy from there: with 64
// buffers of 32 KiB most of their receptions failed for want of one, and they took 1.6 times the CPU time.
//
// Registered files save nothing: a multishot reception looks its file up once, and what a send's look-up
// takes is less than 1 % of a request, which could not be measured. A connection accepted by a direct
// descriptor takes 3.4 instead of 6.1 us to accept and close; but such a descriptor has no SIOCINQ before
// Linux 6.7, by which stopping knows what has been received.
//
// The loop waits for one completion. Waiting for four, or 100 us, would save 13 % of its CPU time at 40,000
// requests a second over 100 connections, and double their median latency (from 42 to 92 us).
#pragma once

#include "servers/serving/event_loop.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/uring.hpp"

#include <boost/intrusive/slist.hpp>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <new>

namespace echobench {

// What the kernel has been asked for on a connection.
enum class reception : std::uint8_t {
  none,
  multishot,  // to receive into the ring's buffers, until it is cancelled
  readable,   // to wait until there is something to receive, or until that is cancelled
  single,     // to receive into the session's buffer; or it is about to be
};

// The part of a connection that is linked into a list of those that are to be served next, so that a list
// needs no memory.
template <class List>
using uring_hook =
    boost::intrusive::slist_base_hook<boost::intrusive::tag<List>,
                                      boost::intrusive::link_mode<boost::intrusive::normal_link>>;
struct to_receive;
struct to_send;

struct uring_connection : loop_connection, uring_hook<to_receive>, uring_hook<to_send> {
  using loop_connection::loop_connection;

  std::vector<std::byte> refused;  // received, but not yet taken by the session: the peer does not read
  reception receiving = reception::none;
  bool cancelled = false;   // the reception; it has not completed yet
  bool streams = false;     // receives when all has been sent, as much as there is
  bool readable = false;    // streams: there may be something to receive
  std::size_t space = 0;    // bytes, of a single reception
  bool sending = false;     // or about to
  bool silently = false;    // the send that is in flight
  bool blocked = false;     // the system's buffer was full
  bool peer_ended = false;  // after what was refused
};

// Connection: a uring_connection, and what a model adds.
template <class Connection>
class uring_loop : public event_loop<Connection> {
public:
  using connection = Connection;

  static std::string_view unavailable_reason() { return uring::unavailable_reason(); }

  uring_loop(shared_by_loops& shared, unsigned index)
      : base(shared, index, pool_), accepting_(this->listeners_.size()) {}

  void run() {
    ring_.enable();
    watch_wake();
    go_on_accepting();
    while (!this->over() || std::ranges::count(accepting_, true) > 0) {
      send_all();
      receive_all();
      ring_.submit_and_wait(this->wake_at());
      ring_.reap([this](const io_uring_cqe& done) { completed(done); });
      this->attend(std::exchange(woken_, false));
    }
  }

protected:
  using base = event_loop<Connection>;
  using step = connection_state::step;
  ~uring_loop() = default;

  // ---- what a model defines, in addition to take_steps()

  // The connection begins.
  virtual void begin(connection& conn) { this->take_steps(conn); }

  // ---- what a model calls for the connection's next step, as often as it likes: take_steps() is called when
  // ---- something has been done

  // False: to be waited for. True: that was not necessary, and there is another next step.
  bool receive(connection& conn);
  void send(connection& conn);
  void work(connection& conn);
  void end_sending(connection& conn) {
    ::shutdown(conn.socket.get(), SHUT_WR);
    conn.state.sending_ended();
  }
  // True: nothing refers to the connection any more; remove() it.
  bool close(connection& conn);

private:
  template <class List>
  using list = boost::intrusive::slist<connection, boost::intrusive::base_hook<uring_hook<List>>,
                                       boost::intrusive::constant_time_size<false>,
                                       boost::intrusive::cache_last<true>>;

  // What has completed: the low bits of a completion's user data; the others are the connection's address.
  enum class operation : std::uint64_t { multishot, readable, single, send, accept, wake, cancel };
  static std::uint64_t tag(operation what, const void* conn = nullptr) noexcept {
    return reinterpret_cast<std::uintptr_t>(conn) | static_cast<std::uint64_t>(what);
  }
  static std::uint64_t accept_tag(unsigned listener) noexcept {
    return tag(operation::accept) | listener << 8;
  }
  static connection& connection_of(const io_uring_cqe& done) noexcept {
    return *reinterpret_cast<connection*>(done.user_data & ~std::uint64_t{7});
  }

  // ---- what the kernel is asked to do

  void watch_wake() {
    ::io_uring_prep_poll_multishot(&ring_.next(tag(operation::wake)), this->wake_.fd(), POLLIN);
  }

  void go_on_accepting() override {
    for (unsigned i = 0; i < this->listeners_.size(); ++i) accept(i);
  }

  // If the number of connections is limited the loop accepts them itself, so that none is accepted beyond the
  // limit.
  bool limited() const noexcept { return this->shared_.options.max_connections > 0; }
  void accept(unsigned listener) {
    if (this->draining() || this->acceptor_.pauses() || accepting_[listener]) return;
    io_uring_sqe& entry = ring_.next(accept_tag(listener));
    const int socket = this->listeners_[listener].get();
    limited() ? ::io_uring_prep_poll_add(&entry, socket, POLLIN)
              : ::io_uring_prep_multishot_accept(&entry, socket, nullptr, nullptr, SOCK_CLOEXEC);
    accepting_[listener] = true;
  }

  void begin_receiving(connection& conn) {
    if (!conn.streams) {
      conn.receiving = reception::multishot;
      ring_.receive_on(conn.socket.get(), tag(operation::multishot, &conn));
    } else if (!conn.readable) {
      conn.receiving = reception::readable;
      ring_.wait_readable(conn.socket.get(), tag(operation::readable, &conn));
    } else {
      conn.receiving = reception::single;
      to_receive_.push_back(conn);
    }
  }

  // So few at once that their buffers stay in the cache until what was received has been sent.
  void receive_all() {
    constexpr int at_once = 16;
    for (int submitted = 0; submitted < at_once && !to_receive_.empty();) {
      connection& conn = to_receive_.front();
      to_receive_.pop_front();
      const bool still = conn.state.next() == step::receive;  // the connection may have failed meanwhile
      const auto space = still ? conn.state.space() : std::span<std::byte>();
      if (conn.state.next() != step::receive) {
        conn.receiving = reception::none;
        this->take_steps(conn);
        continue;
      }
      conn.space = space.size();
      ring_.receive_now(conn.socket.get(), space, tag(operation::single, &conn));
      ++submitted;
    }
  }

  // A single reception need not be cancelled: it completes when it is submitted.
  void stop_receiving(connection& conn) {
    const bool multishot = conn.receiving == reception::multishot;
    if (conn.cancelled || (!multishot && conn.receiving != reception::readable)) return;
    const auto what = tag(multishot ? operation::multishot : operation::readable, &conn);
    ::io_uring_prep_cancel64(&ring_.next(tag(operation::cancel)), what, 0);
    conn.cancelled = true;
  }

  // A send is silent if only the next request can follow it: its completion need not wake the loop.
  void send_all() {
    list<to_send> batch;
    batch.swap(to_send_);
    while (!batch.empty()) {
      connection& conn = batch.front();
      batch.pop_front();
      if (conn.state.next() != step::send) {  // the connection has failed meanwhile
        conn.sending = false;
        this->take_steps(conn);
        continue;
      }
      const bool then_receives = conn.receiving == reception::multishot && !conn.cancelled &&
                                 conn.refused.empty() && conn.state.only_receives_then();
      conn.silently = then_receives && !conn.blocked;
      ring_.send(conn.socket.get(), conn.state.pending(), conn.silently, tag(operation::send, &conn));
    }
  }

  // ---- what has happened

  void completed(const io_uring_cqe& done) {
    const bool goes_on = (done.flags & IORING_CQE_F_MORE) != 0;
    switch (static_cast<operation>(done.user_data & 7)) {
      case operation::multishot: return received(connection_of(done), done, goes_on);
      case operation::readable: return readable(connection_of(done), done.res);
      case operation::single: return received(connection_of(done), done.res);
      case operation::send: return sent(connection_of(done), done.res);
      case operation::accept: return accepted(static_cast<unsigned>(done.user_data >> 8), done.res, goes_on);
      case operation::wake:
        woken_ = true;
        if (!goes_on) watch_wake();
        break;
      case operation::cancel: break;
    }
  }

  void accepted(unsigned listener, int result, bool goes_on) {
    const auto admitted = [this](unique_fd socket) { begin(this->admit(std::move(socket))); };
    accepting_[listener] = goes_on;
    if (limited()) {
      if (!this->draining() && !this->acceptor_.pauses())
        this->acceptor_.accept_available(this->totals_, admitted, accepted_socket::blocking);
    } else if (result >= 0) {
      this->shared_.connections.try_add();
      try {
        admitted(unique_fd(result));
      } catch (const std::bad_alloc&) {  // the client is turned away
        this->shared_.connections.remove();
        this->totals_.count(server_error::accept);
      }
    } else if (!this->draining() && accept_must_pause(-result)) {
      if (connection_waits(this->listeners_[listener].get())) this->totals_.count(server_error::accept);
      this->acceptor_.pause();
    }
    accept(listener);
  }

  void received(connection& conn, const io_uring_cqe& done, bool goes_on) {
    if (!goes_on) reception_ended(conn);
    if (done.res > 0) {
      take(conn, ring_.buffer_of(done));
    } else if (done.res == 0) {
      conn.peer_ended = true;
    } else if (done.res == -ENOBUFS) {
      conn.streams = conn.readable = true;  // a stream needs no buffer of the ring
    } else if (done.res != -ECANCELED && done.res != -EINTR) {
      conn.state.failed();
    }
    this->take_steps(conn);
  }

  void readable(connection& conn, int result) {
    reception_ended(conn);
    conn.readable = result > 0;
    this->take_steps(conn);
  }

  // If space is left, this was all that there was; if it was little, the connection streams no more.
  void received(connection& conn, int result) {
    reception_ended(conn);
    const auto bytes = static_cast<std::size_t>(std::max(result, 0));
    conn.readable = bytes == conn.space || result == -EINTR;
    if (!conn.readable && bytes > 0 && bytes <= uring::buffer_size) conn.streams = false;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
      conn.state.failed();
    } else if (result >= 0 && conn.state.next() == step::receive) {
      conn.state.received(bytes);
    }
    this->take_steps(conn);
  }

  static void reception_ended(connection& conn) noexcept {
    conn.receiving = reception::none;
    conn.cancelled = false;
  }

  // The session takes what it has room for. The rest waits until the peer has read some replies; nothing more
  // is received meanwhile.
  void take(connection& conn, std::span<const std::byte> bytes) {
    constexpr std::size_t many = 16 * 1024;  // bytes that the peer has not read
    const std::size_t taken = conn.refused.empty() ? conn.state.offer(bytes) : 0;
    if (taken < bytes.size()) keep(conn, bytes.subspan(taken));
    if (conn.refused.empty() && conn.state.pending().size() <= many) return;
    conn.streams = conn.readable = true;
    stop_receiving(conn);
  }

  static void keep(connection& conn, std::span<const std::byte> bytes) try {
    conn.refused.insert(conn.refused.end(), bytes.begin(), bytes.end());
  } catch (const std::bad_alloc&) {
    conn.state.turned_away();
  }

  // What was refused is offered again: true if some was taken.
  bool offer_refused(connection& conn) {
    const std::size_t refused = conn.refused.size();
    if (refused == 0 || conn.sending) return false;
    take(conn, std::exchange(conn.refused, {}));
    return conn.refused.size() < refused;
  }

  void sent(connection& conn, int result) {
    conn.sending = false;
    conn.blocked = result == -EAGAIN;
    if (result > 0) {
      const auto bytes = static_cast<std::size_t>(result);
      conn.silently ? conn.state.sent_silently(bytes) : conn.state.sent(bytes);
    }
    if (result <= 0 && result != -EAGAIN && result != -EINTR) conn.state.failed();
    this->take_steps(conn);
  }

  void stop(connection& conn) override { stop_receiving(conn); }

  void end_accepting() override {
    for (unsigned i = 0; i < this->listeners_.size(); ++i) {  // not by descriptor, which may be closed before
      ::io_uring_prep_cancel64(&ring_.next(tag(operation::cancel)), accept_tag(i), 0);
    }
    ring_.submit();
  }

  uring ring_;
  buffer_pool pool_{buffer_pool::use::one_thread};
  list<to_receive> to_receive_;
  list<to_send> to_send_;
  std::vector<bool> accepting_;  // for each listener: the kernel accepts
  bool woken_ = false;
};

template <class Connection>
bool uring_loop<Connection>::receive(connection& conn) {
  if (offer_refused(conn)) return true;
  if (conn.refused.empty() && std::exchange(conn.peer_ended, false)) {
    conn.state.received(0);
    return true;
  }
  if (conn.receiving == reception::single) return false;
  if (this->draining() && conn.receiving == reception::none) {
    conn.state.stop(bytes_readable(conn.socket.get()));
    if (conn.state.next() != step::receive) return true;
  }
  conn.state.park();
  if (conn.receiving == reception::none) begin_receiving(conn);
  return false;
}

template <class Connection>
void uring_loop<Connection>::send(connection& conn) {
  while (offer_refused(conn)) {
  }
  if (!std::exchange(conn.sending, true)) to_send_.push_back(conn);
}

template <class Connection>
void uring_loop<Connection>::work(connection& conn) {
  if (conn.handed_out) return;
  if (conn.state.offloads()) return this->work_elsewhere(conn);
  conn.state.burn();
  conn.handed_out = true;
  this->hand_back(conn);  // the others come first
}

template <class Connection>
bool uring_loop<Connection>::close(connection& conn) {
  if (conn.sending) ::shutdown(conn.socket.get(), SHUT_RDWR);  // ends a send that waits
  stop_receiving(conn);
  return conn.receiving == reception::none && !conn.sending && !conn.handed_out;
}

}  // namespace echobench
