#include "loadgen/echo_client/relay.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <memory>
#include <span>

namespace echobench {
namespace {

// A descriptor that is writable to poll(2) takes this much at least without blocking (pipe(7): a page is
// free).
constexpr std::size_t sure_write = PIPE_BUF;

// Bytes on their way, in order.
class transit {
public:
  std::span<std::byte> space() noexcept {
    if (first_ == last_) first_ = last_ = 0;
    return std::span(*bytes_).subspan(last_);
  }
  void put(std::size_t n) noexcept { last_ += n; }
  std::span<const std::byte> held() const noexcept {
    return std::span(*bytes_).subspan(first_, last_ - first_);
  }
  void take(std::size_t n) noexcept { first_ += n; }

private:
  using storage = std::array<std::byte, 64U << 10>;
  std::unique_ptr<storage> bytes_ = std::make_unique<storage>();
  std::size_t first_ = 0;
  std::size_t last_ = 0;
};

bool again(int error) noexcept { return error == EAGAIN || error == EINTR; }

constexpr short ended_events = POLLHUP | POLLERR | POLLNVAL;

class relaying {
public:
  relaying(int input, int server, int output, int stop)
      : input_(input), server_(server), output_(output), stop_(stop) {}

  relay_result run() {
    while (!done_) step();
    result_.unsent_bytes = up_.held().size();
    return result_;
  }

private:
  void step() {
    const bool may_read = !input_ended_ && !up_.space().empty();
    const bool may_send = !up_.held().empty() && !send_failed_;
    const bool may_receive = !server_ended_ && !down_.space().empty();
    const bool may_print = !down_.held().empty();
    const auto when = [](bool wanted, int fd) { return wanted ? fd : -1; };
    // The output is always watched: its reader may go while nothing is to be printed.
    std::array<pollfd, 5> on{{{when(may_read, input_), POLLIN, 0},
                              {when(may_send, server_), POLLOUT, 0},
                              {when(may_receive, server_), POLLIN, 0},
                              {output_, static_cast<short>(may_print ? POLLOUT : 0), 0},
                              {stop_, POLLIN, 0}}};
    if (::poll(on.data(), on.size(), -1) < 0) return;
    if (on[4].revents != 0) return end(relay_end::stopped);
    if (on[3].revents != 0) print(on[3].revents);
    if (!done_ && on[2].revents != 0) receive();
    if (!done_ && on[1].revents != 0) send();
    if (!done_ && on[0].revents != 0) read();
    if (!done_) finish_what_ended();
  }

  void read() {
    const auto space = up_.space();
    const auto n = ::read(input_, space.data(), space.size());
    if (n > 0) return up_.put(static_cast<std::size_t>(n));
    if (n < 0 && again(errno)) return;
    if (n < 0) return end(relay_end::input_failed, errno);
    input_ended_ = true;
  }

  void send() {
    const auto held = up_.held();
    const auto n = ::send(server_, held.data(), held.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) return up_.take(static_cast<std::size_t>(n));
    if (again(errno)) return;
    send_failed_ = errno;  // what the server sent before is still to be read
  }

  void receive() {
    const auto space = down_.space();
    const auto n = ::recv(server_, space.data(), space.size(), MSG_DONTWAIT);
    if (n > 0) return down_.put(static_cast<std::size_t>(n));
    if (n < 0 && again(errno)) return;
    if (n < 0) broken_ = errno;
    server_ended_ = true;
  }

  void print(short events) {
    const auto held = down_.held();
    if (held.empty() || (events & POLLOUT) == 0) {
      if ((events & ended_events) != 0) end(relay_end::output_closed);
      return;
    }
    const auto n = ::write(output_, held.data(), std::min(held.size(), sure_write));
    if (n >= 0) return down_.take(static_cast<std::size_t>(n));
    if (again(errno)) return;
    if (errno == EPIPE) return end(relay_end::output_closed);
    end(relay_end::output_failed, errno);
  }

  void finish_what_ended() {
    if (input_ended_ && up_.held().empty() && !finished_sending_) {
      ::shutdown(server_, SHUT_WR);
      finished_sending_ = true;
    }
    if (!server_ended_ || !down_.held().empty()) return;
    if (broken_ != 0) return end(relay_end::server_broke, broken_);
    if (send_failed_ != 0 && !finished_sending_) return end(relay_end::server_closed);
    end(finished_sending_ ? relay_end::finished : relay_end::server_closed);
  }

  void end(relay_end how, int error = 0) {
    result_.how = how;
    result_.error = error;
    done_ = true;
  }

  const int input_;
  const int server_;
  const int output_;
  const int stop_;
  transit up_;    // input to server
  transit down_;  // server to output
  bool input_ended_ = false;
  bool finished_sending_ = false;
  bool server_ended_ = false;
  int send_failed_ = 0;
  int broken_ = 0;
  bool done_ = false;
  relay_result result_;
};

}  // namespace

relay_result relay(int input, int server, int output, int stop) {
  return relaying(input, server, output, stop).run();
}

}  // namespace echobench
