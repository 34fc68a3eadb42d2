// The proactor: one io_uring for each thread. The kernel accepts and receives on its own (multishot), into
// buffers that the ring provides; the loop answers, and enters the kernel once for a whole batch.
//
// A stream is received where it is answered, in pieces of up to 64 KiB, once there is something to receive.
// So it needs none of the ring's buffers, which 500 streams would use up, and no copy from there: with 64
// buffers of 32 KiB most of their receptions failed for want of one, and they took 1.6 times the CPU time.
//
// It waits for one completion. To wait for four, or 100 us, would save 13 % of its CPU time at 40,000
// requests a second over 100 connections, and double their median latency (92 us for 42).
#include "servers/serving/event_loop.hpp"
#include "servers/serving/nonblocking.hpp"
#include "servers/serving/uring.hpp"
#include "servers/variants.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <deque>

namespace echobench {
namespace {

// What the kernel has been asked for on a connection.
enum class reception : std::uint8_t {
  none,
  multishot,  // to receive into the ring's buffers, until it is cancelled
  readable,   // to wait until there is something to receive, or until that is cancelled
  single,     // to receive into the session's buffer; or it is about to be
};

struct connection : loop_connection {
  using loop_connection::loop_connection;
  std::vector<std::byte> refused;  // received, but not taken yet: the peer does not read
  reception receiving = reception::none;
  bool cancelled = false;   // the reception, but it has not completed
  bool streams = false;     // receives when all has been sent, as much as there is
  bool readable = false;    // streams: there may be something to receive
  std::size_t space = 0;    // bytes, of a single reception
  bool sending = false;     // or about to
  bool blocked = false;     // the system's buffer was full
  bool peer_ended = false;  // behind what was refused
};

class uring_loop final : public event_loop<connection> {
public:
  static constexpr std::string_view name = "io-uring";
  static constexpr std::string_view summary =
      "an io_uring for each thread, multishot accept and receive: the floor of the proactors";
  static std::string_view unavailable_reason() { return uring::unavailable_reason(); }

  uring_loop(shared_by_loops& shared, unsigned index)
      : event_loop(shared, index, pool_), accepting_(listeners_.size()) {}

  void run() {
    ring_.enable();
    watch_wake();
    go_on_accepting();
    while (!over() || std::ranges::count(accepting_, true) > 0) {
      send_all();
      receive_all();
      ring_.submit_and_wait(wake_at());
      ring_.reap([this](const io_uring_cqe& done) { completed(done); });
      attend(std::exchange(woken_, false));
    }
  }

private:
  // What a completion is of: the low bits of its user data; the others are the address of the connection.
  enum class of : std::uint64_t { multishot, readable, single, send, accept, wake, cancel };
  static std::uint64_t tag(of what, const void* who = nullptr) noexcept {
    return reinterpret_cast<std::uintptr_t>(who) | static_cast<std::uint64_t>(what);
  }
  static std::uint64_t accept_tag(unsigned listener) noexcept { return tag(of::accept) | listener << 8; }
  static connection& connection_of(const io_uring_cqe& done) noexcept {
    return *reinterpret_cast<connection*>(done.user_data & ~std::uint64_t{7});
  }

  // ---- what the kernel is asked for

  void watch_wake() { ::io_uring_prep_poll_multishot(&ring_.next(tag(of::wake)), wake_.fd(), POLLIN); }

  void go_on_accepting() override {
    for (unsigned i = 0; i < listeners_.size(); ++i) accept(i);
  }

  // One at a time where their number is limited, so that none is accepted beyond the limit.
  void accept(unsigned listener) {
    if (draining() || accepting_pauses() || accepting_[listener]) return;
    if (full()) return pause_accepting();
    const bool any_number = shared_.options.max_connections == 0;
    const auto prepare = any_number ? ::io_uring_prep_multishot_accept : ::io_uring_prep_accept;
    prepare(&ring_.next(accept_tag(listener)), listeners_[listener].get(), nullptr, nullptr, SOCK_CLOEXEC);
    accepting_[listener] = true;
  }

  void receive(connection& who) {
    if (!who.streams) {
      who.receiving = reception::multishot;
      ring_.receive_on(who.socket.get(), tag(of::multishot, &who));
    } else if (!who.readable) {
      who.receiving = reception::readable;
      ring_.wait_readable(who.socket.get(), tag(of::readable, &who));
    } else {
      who.receiving = reception::single;
      to_receive_.push_back(&who);
    }
  }

  // So few that their buffers stay in the cache until what was received has been sent.
  void receive_all() {
    constexpr std::size_t at_once = 16;
    for (std::size_t n = std::min(at_once, to_receive_.size()); n > 0; --n) {
      connection& who = *to_receive_.front();
      to_receive_.pop_front();
      if (who.state.next() != step::receive) {  // it has failed meanwhile
        who.receiving = reception::none;
        take_steps(who);
        continue;
      }
      const auto space = who.state.space();
      who.space = space.size();
      ring_.receive_now(who.socket.get(), space, tag(of::single, &who));
    }
  }

  // A single reception completes without that.
  void stop_receiving(connection& who) {
    const bool multishot = who.receiving == reception::multishot;
    if (who.cancelled || (!multishot && who.receiving != reception::readable)) return;
    const auto what = tag(multishot ? of::multishot : of::readable, &who);
    ::io_uring_prep_cancel64(&ring_.next(tag(of::cancel)), what, 0);
    who.cancelled = true;
  }

  // That it was sent need not wake the loop where nothing waits for it but the next request.
  void send_all() {
    to_send_.swap(batch_);
    for (connection* who : batch_) {
      if (who->state.next() != step::send) {  // it has failed meanwhile
        who->sending = false;
        take_steps(*who);
        continue;
      }
      const bool then_receives = who->receiving == reception::multishot && !who->cancelled &&
                                 who->refused.empty() && who->state.only_receives_then();
      const bool silently = then_receives && !who->blocked;
      ring_.send(who->socket.get(), who->state.pending(), silently, tag(of::send, who));
    }
    batch_.clear();
  }

  // ---- what has happened

  void completed(const io_uring_cqe& done) {
    const bool goes_on = (done.flags & IORING_CQE_F_MORE) != 0;
    switch (static_cast<of>(done.user_data & 7)) {
      case of::multishot: return received(connection_of(done), done, goes_on);
      case of::readable: return readable(connection_of(done), done.res);
      case of::single: return received(connection_of(done), done.res);
      case of::send: return sent(connection_of(done), done.res);
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
      take_steps(admit(unique_fd(result)));
    } else if (accept_must_pause(-result)) {
      totals_.count(server_error::accept);
      return pause_accepting();
    }
    accept(listener);
  }

  void received(connection& who, const io_uring_cqe& done, bool goes_on) {
    if (!goes_on) reception_ended(who);
    if (done.res > 0) {
      take(who, ring_.buffer_of(done));
    } else if (done.res == 0) {
      who.peer_ended = true;
    } else if (done.res == -ENOBUFS) {
      who.streams = who.readable = true;  // it needs none
    } else if (done.res != -ECANCELED && done.res != -EINTR) {
      who.state.failed();
    }
    take_steps(who);
  }

  void readable(connection& who, int result) {
    reception_ended(who);
    who.readable = result > 0;
    take_steps(who);
  }

  // Less than there was room for is all that there was; if that is little, it is no stream any more.
  void received(connection& who, int result) {
    reception_ended(who);
    const auto bytes = static_cast<std::size_t>(std::max(result, 0));
    who.readable = bytes == who.space || result == -EINTR;
    if (!who.readable && bytes > 0 && bytes <= uring::buffer_size) who.streams = false;
    if (result < 0 && result != -EAGAIN && result != -EINTR) {
      who.state.failed();
    } else if (result >= 0 && who.state.next() == step::receive) {
      who.state.received(bytes);
    }
    take_steps(who);
  }

  static void reception_ended(connection& who) noexcept {
    who.receiving = reception::none;
    who.cancelled = false;
  }

  // The session takes what it has room for; the rest waits until the peer has read some replies, and no more
  // is received meanwhile.
  void take(connection& who, std::span<const std::byte> bytes) {
    constexpr std::size_t many = 16 * 1024;  // bytes that the peer does not read
    const std::size_t taken = who.refused.empty() ? who.state.offer(bytes) : 0;
    if (taken < bytes.size())
      who.refused.insert(who.refused.end(), bytes.begin() + static_cast<std::ptrdiff_t>(taken), bytes.end());
    if (who.refused.empty() && who.state.pending().size() <= many) return;
    who.streams = who.readable = true;
    stop_receiving(who);
  }

  void sent(connection& who, int result) {
    who.sending = false;
    who.blocked = result == -EAGAIN;
    if (result > 0) who.state.sent(static_cast<std::size_t>(result));
    if (result <= 0 && result != -EAGAIN && result != -EINTR) who.state.failed();
    take_steps(who);
  }

  // ---- what is next

  void take_steps(connection& who) override {
    for (;;) {
      const step next = who.state.next();
      if (const auto refused = who.refused.size(); refused > 0 && next <= step::send && !who.sending) {
        take(who, std::exchange(who.refused, {}));
        if (who.refused.size() < refused) continue;
      }
      switch (next) {
        case step::receive:
          if (who.refused.empty() && std::exchange(who.peer_ended, false)) {
            who.state.received(0);
            continue;
          }
          if (who.receiving == reception::single) break;
          if (draining() && who.receiving == reception::none) {
            who.state.stop(bytes_readable(who.socket.get()));
            if (who.state.next() != step::receive) continue;
          }
          who.state.park();
          if (who.receiving == reception::none) receive(who);
          break;
        case step::send:
          if (!std::exchange(who.sending, true)) to_send_.push_back(&who);
          break;
        case step::work:
          if (who.handed_out) break;
          if (who.state.offloads()) {
            work_elsewhere(who);
          } else {
            who.state.burn();
            who.handed_out = true;
            hand_back(who);  // others first
          }
          break;
        case step::sleep: break;
        case step::end_sending:
          ::shutdown(who.socket.get(), SHUT_WR);
          who.state.sending_ended();
          continue;
        case step::close: return close(who);
      }
      return follow(who);
    }
  }

  // When nothing refers to it any more.
  void close(connection& who) {
    if (who.sending) ::shutdown(who.socket.get(), SHUT_RDWR);  // it cannot wait any more
    stop_receiving(who);
    if (who.receiving != reception::none || who.sending || who.handed_out) return;
    remove(who);
  }

  void stop(connection& who) override { stop_receiving(who); }

  void end_accepting() override {
    for (unsigned i = 0; i < listeners_.size(); ++i) {  // not by descriptor, which may be closed before
      ::io_uring_prep_cancel64(&ring_.next(tag(of::cancel)), accept_tag(i), 0);
    }
    ring_.submit();
  }

  uring ring_;
  buffer_pool pool_{buffer_pool::use::one_thread};
  std::deque<connection*> to_receive_;
  std::vector<connection*> to_send_;
  std::vector<connection*> batch_;  // of sends; empty between them
  std::vector<bool> accepting_;     // of each listener, whether the kernel does
  bool woken_ = false;
};

}  // namespace

const variant variants::io_uring = describe<server_of_loops<uring_loop>>();

}  // namespace echobench
