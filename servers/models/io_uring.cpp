// The proactor: one io_uring for each thread. The kernel accepts and receives on its own (multishot), into
// buffers that the ring provides; the loop answers, and enters the kernel once for a whole batch.
#include "servers/serving/alarms.hpp"
#include "servers/serving/handed_back.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/server_loops.hpp"
#include "servers/serving/uring.hpp"
#include "servers/variants.hpp"

#include <boost/intrusive/list.hpp>
#include <poll.h>

#include <algorithm>
#include <cerrno>

namespace echobench {
namespace {

using clock = connection_life::clock;
using step = connection_life::step;

struct connection : boost::intrusive::list_base_hook<>, alarm {
  connection(int accepted, const shared_by_loops& shared, buffer_pool& pool)
      : socket(accepted), life(shared.options.connection, pool, shared.drain) {}

  unique_fd socket;
  connection_life life;
  std::vector<std::byte> refused;  // received, but not taken yet: the peer does not read
  bool receiving = false;          // the kernel does
  bool stopping_to = false;        // it has been told to stop receiving
  bool sending = false;            // or about to
  std::size_t sent = 0;            // of what is being sent at once; less than all when that failed
  int send_error = 0;
  bool peer_ended = false;  // behind what was refused
  bool handed_out = false;  // another thread works for it
  bool has_turn_later = false;
};

class uring_loop {
public:
  static constexpr std::string_view name = "io-uring";
  static constexpr std::string_view summary =
      "an io_uring for each thread, multishot accept and receive: the floor of the proactors";
  static std::string_view unavailable_reason() { return uring::unavailable_reason(); }

  uring_loop(shared_by_loops& shared, unsigned index)
      : shared_(shared),
        listeners_(shared.listeners.of_loop(index)),
        index_(index),
        accepting_(listeners_.size()),
        on_stop_(shared.stop, signaller{&wake_}) {}

  void run() {
    ring_.enable();
    watch_wake();
    accept_all();
    while (!over()) {
      begin_sending();
      ring_.submit_and_wait(later_.empty() ? wake_at() : clock::time_point::min());
      end_sending();
      ring_.done_with(ring_.for_each([this](const io_uring_cqe& done) { completed(done); }));
      attend();
    }
  }

  const server_totals& totals() const noexcept { return totals_; }

private:
  // What a completion is of: the low bits of its user data; the others are the address of the connection.
  enum class of : std::uint64_t { receive, send_at_once, send, accept, wake, cancel };
  struct signaller {
    const wake_event* event;
    void operator()() const noexcept { event->signal(); }
  };

  static std::uint64_t tag(of what, const void* who = nullptr) noexcept {
    return reinterpret_cast<std::uintptr_t>(who) | static_cast<std::uint64_t>(what);
  }

  static connection& connection_of(const io_uring_cqe& done) noexcept {
    return *reinterpret_cast<connection*>(done.user_data & ~std::uint64_t{7});
  }

  // ---- what the kernel is asked for

  void watch_wake() {
    io_uring_sqe& entry = ring_.next(tag(of::wake));
    ::io_uring_prep_poll_multishot(&entry, wake_.fd(), POLLIN);
  }

  void accept_all() {
    accept_at_ = connection_life::never;
    for (unsigned i = 0; i < listeners_.size(); ++i) accept(i);
  }

  // One at a time where their number is limited, so that none is accepted beyond the limit.
  void accept(unsigned listener) {
    if (draining_ || accepting_[listener]) return;
    if (shared_.connections.full()) return pause_accepting();
    io_uring_sqe& entry = ring_.next(tag(of::accept) | listener << 8);
    const bool limited = shared_.options.max_connections > 0;
    const auto prepare = limited ? ::io_uring_prep_accept : ::io_uring_prep_multishot_accept;
    prepare(&entry, listeners_[listener].get(), nullptr, nullptr, SOCK_CLOEXEC);
    accepting_[listener] = true;
  }

  void receive(connection& who) {
    io_uring_sqe& entry = ring_.next(tag(of::receive, &who));
    ::io_uring_prep_recv_multishot(&entry, who.socket.get(), nullptr, 0, 0);
    ring_.select_buffer(entry);
    who.receiving = true;
  }

  void stop_receiving(connection& who) {
    if (!who.receiving || who.stopping_to) return;
    ::io_uring_prep_cancel64(&ring_.next(tag(of::cancel)), tag(of::receive, &who), 0);
    who.stopping_to = true;
  }

  // All that a batch has brought is sent together. That it was sent needs no completion where nothing waits
  // for it but the next request.
  void begin_sending() {
    for (connection* who : std::exchange(to_send_, {})) {
      if (who->life.next() != step::send) {  // it has failed meanwhile
        who->sending = false;
        drive(*who);
      } else if (who->receiving && !who->stopping_to && who->refused.empty() &&
                 who->life.only_receives_then()) {
        const auto bytes = who->life.pending();
        who->sent = bytes.size();
        who->send_error = 0;
        ring_.send(who->socket.get(), bytes, uring::send_mode::at_once, tag(of::send_at_once, who));
        at_once_.push_back(who);
      } else {
        send_when_it_can(*who);
      }
    }
  }

  void send_when_it_can(connection& who) {
    ring_.send(who.socket.get(), who.life.pending(), uring::send_mode::when_it_can, tag(of::send, &who));
  }

  void end_sending() {
    if (at_once_.empty()) return;
    ring_.for_each([](const io_uring_cqe& done) {
      if ((done.user_data & 7) != static_cast<std::uint64_t>(of::send_at_once)) return;
      connection& who = connection_of(done);
      who.sent = done.res > 0 ? static_cast<std::size_t>(done.res) : 0;
      who.send_error = done.res < 0 ? -done.res : EAGAIN;
    });
    for (connection* who : at_once_) sent(*who);
    at_once_.clear();
  }

  // ---- what has happened

  void completed(const io_uring_cqe& done) {
    const bool goes_on = (done.flags & IORING_CQE_F_MORE) != 0;
    switch (static_cast<of>(done.user_data & 7)) {
      case of::receive: return received(connection_of(done), done, goes_on);
      case of::send_at_once: break;  // it has been seen
      case of::send: return sent_later(connection_of(done), done.res);
      case of::accept: return accepted(static_cast<unsigned>(done.user_data >> 8), done.res, goes_on);
      case of::wake:
        woken_ = true;
        if (!goes_on) watch_wake();
        break;
      case of::cancel: break;
    }
  }

  void accepted(unsigned listener, int result, bool goes_on) {
    accepting_[listener] = goes_on;
    if (result >= 0) {
      set_no_delay(result);
      ++totals_.accepted;
      shared_.connections.add();
      connections_.push_back(*new connection(result, shared_, pool_));
      drive(connections_.back());
    } else if (accept_must_pause(-result)) {
      totals_.count(server_error::accept);
      return pause_accepting();
    }
    accept(listener);
  }

  void received(connection& who, const io_uring_cqe& done, bool goes_on) {
    if (!goes_on) who.receiving = who.stopping_to = false;
    if (done.res > 0) {
      const auto bytes = ring_.buffer_of(done);
      take(who, bytes);
      ring_.give_back_buffer(done);
    } else if (done.res == 0) {
      who.peer_ended = true;
    } else if (done.res != -ENOBUFS && done.res != -ECANCELED && done.res != -EINTR) {
      who.life.failed();
    }
    drive(who);
  }

  // The session takes what it has room for; the rest waits until the peer has read some replies, and no more
  // is received meanwhile.
  void take(connection& who, std::span<const std::byte> bytes) {
    constexpr std::size_t many = 16 * 1024;  // bytes that the peer does not read
    const std::size_t taken = who.refused.empty() ? who.life.offer(bytes) : 0;
    if (taken < bytes.size())
      who.refused.insert(who.refused.end(), bytes.begin() + static_cast<std::ptrdiff_t>(taken), bytes.end());
    if (!who.refused.empty() || who.life.pending().size() > many) stop_receiving(who);
  }

  void take_refused(connection& who) {
    const auto bytes = std::exchange(who.refused, {});
    take(who, bytes);
  }

  void sent(connection& who) {
    who.sending = false;
    if (who.sent > 0) who.life.sent(who.sent);
    if (who.send_error == EAGAIN && who.life.next() == step::send) {
      who.sending = true;
      return send_when_it_can(who);
    }
    if (who.send_error != 0 && who.send_error != EAGAIN && who.send_error != EINTR) who.life.failed();
    drive(who);
  }

  void sent_later(connection& who, int result) {
    who.sent = result > 0 ? static_cast<std::size_t>(result) : 0;
    who.send_error = result < 0 ? -result : 0;
    sent(who);
  }

  // ---- what is next

  void drive(connection& who) {
    bool worked = false;
    for (;;) {
      const step next = who.life.next();
      if (next <= step::send && !who.sending && !who.refused.empty()) {
        const std::size_t before = who.refused.size();
        take_refused(who);
        if (who.refused.size() < before) continue;
      }
      switch (next) {
        case step::receive:
          if (who.refused.empty() && who.peer_ended) {
            who.peer_ended = false;
            who.life.received(0);
            continue;
          }
          if (draining_ && !who.receiving) {
            who.life.stop(bytes_readable(who.socket.get()));
            if (who.life.next() != step::receive) continue;
          }
          who.life.park();
          if (!who.receiving) receive(who);
          break;
        case step::send:
          if (!who.sending) to_send_.push_back(&who);
          who.sending = true;
          break;
        case step::work:
          if (who.life.offloads()) {
            if (!who.handed_out) work_elsewhere(who);
          } else if (worked) {  // others first
            if (!who.has_turn_later) later_.push_back(&who);
            who.has_turn_later = true;
          } else {
            who.life.burn();
            who.life.carried_out();
            worked = true;
            continue;
          }
          break;
        case step::sleep: break;
        case step::end_sending:
          ::shutdown(who.socket.get(), SHUT_WR);
          who.life.sending_ended();
          continue;
        case step::close: return close(who);
      }
      return alarms_.follow(who);
    }
  }

  void work_elsewhere(connection& who) {
    who.handed_out = true;
    shared_.offload.submit([this, &who] {
      who.life.burn();
      handed_back_.push(who);
    });
  }

  // When nothing refers to it any more.
  void close(connection& who) {
    if (who.sending) ::shutdown(who.socket.get(), SHUT_RDWR);  // it cannot wait any more
    stop_receiving(who);
    if (who.receiving || who.sending || who.handed_out || who.has_turn_later) return;
    who.life.add_to(totals_);
    connections_.erase_and_dispose(connections_.iterator_to(who), std::default_delete<connection>());
    shared_.connections.remove();
    if (accept_at_ != connection_life::never) accept_at_ = clock::now();
  }

  // ---- beside the connections

  bool over() const noexcept {
    return draining_ && connections_.empty() && std::ranges::count(accepting_, true) == 0;
  }

  clock::time_point wake_at() const {
    auto until = std::min(accept_at_, alarms_.earliest());
    if (draining_) {
      until =
          std::min(until, shared_.drain.expired() ? clock::now() + accept_pause : shared_.drain.deadline());
    }
    return until;
  }

  void pause_accepting() { accept_at_ = clock::now() + accept_pause; }

  void attend() {
    if (std::exchange(woken_, false)) {
      wake_.clear();
      for (connection* who : handed_back_.take()) {
        who->handed_out = false;
        if (who->life.next() == step::work) who->life.carried_out();
        drive(*who);
      }
      if (!draining_ && shared_.stop.stop_requested()) begin_draining();
    }
    for (connection* who : std::exchange(later_, {})) {
      who->has_turn_later = false;
      drive(*who);
    }
    if (wake_at() == connection_life::never) return;
    const auto now = clock::now();
    while (connection* who = alarms_.take_due(now)) {
      who->life.time_passed();
      drive(*who);
    }
    if (!draining_ && accept_at_ <= now) accept_all();
    if (draining_ && shared_.drain.expired()) abort_all();
  }

  void begin_draining() {
    draining_ = true;
    accept_at_ = connection_life::never;
    for (const unique_fd& listener : listeners_) {
      ::io_uring_prep_cancel_fd(&ring_.next(tag(of::cancel)), listener.get(), IORING_ASYNC_CANCEL_ALL);
    }
    ring_.submit();
    shared_.listeners.close(index_);
    for (auto next = connections_.begin(); next != connections_.end();) {
      connection& who = *next++;
      stop_receiving(who);
      drive(who);
    }
  }

  void abort_all() {
    for (auto next = connections_.begin(); next != connections_.end();) {
      connection& who = *next++;
      if (who.handed_out) continue;
      who.life.abort();
      drive(who);
    }
  }

  shared_by_loops& shared_;
  const std::vector<unique_fd>& listeners_;
  unsigned index_;
  uring ring_;
  buffer_pool pool_{buffer_pool::use::one_thread};
  boost::intrusive::list<connection> connections_;
  alarms<connection> alarms_;
  std::vector<connection*> to_send_;
  std::vector<connection*> at_once_;                      // are being sent to
  std::vector<connection*> later_;                        // have work to do, after others have had their turn
  std::vector<bool> accepting_;                           // of each listener, whether the kernel does
  clock::time_point accept_at_ = connection_life::never;  // accepting has paused until then
  bool woken_ = false;
  bool draining_ = false;
  server_totals totals_;
  const wake_event wake_;
  handed_back<connection> handed_back_{wake_};
  std::stop_callback<signaller> on_stop_;
};

}  // namespace

const variant variants::io_uring = describe<server_of_loops<uring_loop>>();

}  // namespace echobench
