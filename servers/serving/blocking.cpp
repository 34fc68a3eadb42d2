#include "servers/serving/blocking.hpp"

#include "common/timespec.hpp"
#include "servers/serving/nonblocking.hpp"

#include <poll.h>
#include <signal.h>

#include <cerrno>
#include <system_error>

namespace echobench {
namespace {

constexpr int wake_signal = SIGUSR1;

using clock = connection_state::clock;
using step = connection_state::step;

// The flags of the next call. Without a deadline the call itself blocks; with one, this waits before it.
int wait_before_call(int socket, short events, const connection_state& state, const drain_clock& drain) {
  if (state.deadline() == connection_state::never) return 0;
  const auto left = std::min(state.deadline(), drain.deadline()) - clock::now();
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  pollfd ready{.fd = socket, .events = events, .revents = 0};
  ::poll(&ready, 1, static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(rounded, 0, 60'000)));
  return MSG_DONTWAIT;
}

void sleep_until(clock::time_point end, const drain_clock& drain) {
  while (clock::now() < end && !drain.expired()) {
    const auto left = to_timespec(end - clock::now());
    ::nanosleep(&left, nullptr);
  }
}

}  // namespace

const server_options& without_threads(const server_options& options, std::string_view variant) {
  if (options.threads == 1) return options;
  throw usage_error("--threads: the number of threads of " + std::string(variant) +
                    " is part of the model; leave it at 1");
}

interrupter::interrupter(const std::stop_token& stop)
    : thread_([this](const std::stop_token& end) { interrupt(end); }), on_stop_(stop, starter{this}) {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // without SA_RESTART: the interrupted call fails
  ::sigaction(wake_signal, &nothing, nullptr);
}

void interrupter::interrupt(const std::stop_token& end) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, end, [this] { return stopping_; });
  while (!end.stop_requested()) {
    for (const pthread_t thread : threads_) ::pthread_kill(thread, wake_signal);
    const auto pause = std::chrono::milliseconds(10) + threads_.size() * std::chrono::microseconds(10);
    changed_.wait_for(lock, end, pause, [] { return false; });
  }
}

interrupter::registration::registration(interrupter& owner) : owner_(owner) {
  const std::lock_guard lock(owner_.mutex_);
  place_ = owner_.threads_.insert(owner_.threads_.end(), ::pthread_self());
}

interrupter::registration::~registration() {
  const std::lock_guard lock(owner_.mutex_);
  owner_.threads_.erase(place_);
}

blocking_acceptor::blocking_acceptor(const std::vector<unique_fd>& listeners, std::stop_token stop,
                                     waits where)
    : listeners_(listeners), stop_(std::move(stop)), on_stop_(stop_, stopped_) {
  if (where == waits::in_accept && listeners.size() == 1) {
    set_blocking(listeners.front().get(), true);
    return;
  }
  waiting_.push_back({.fd = stopped_.fd(), .events = POLLIN, .revents = 0});
  for (const unique_fd& listener : listeners_) {
    waiting_.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
  }
}

unique_fd blocking_acceptor::next(server_totals& totals) {
  while (!stop_.stop_requested()) {
    if (!waiting_.empty() && ::poll(waiting_.data(), waiting_.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      const std::size_t turn = next_;
      next_ = (next_ + 1) % listeners_.size();
      if (!waiting_.empty() && waiting_[1 + turn].revents == 0) continue;
      if (unique_fd socket = accept_connection(listeners_[turn].get(), accepted_socket::blocking)) {
        ++totals.accepted;
        return socket;
      }
      if (accept_must_pause(errno)) {
        totals.count(server_error::accept);
        pause();
      }
    }
  }
  return {};
}

void blocking_acceptor::pause() {
  pollfd stopped{.fd = stopped_.fd(), .events = POLLIN, .revents = 0};
  ::poll(&stopped, 1, static_cast<int>(accept_pause.count()));
}

void serve_blocking(int socket, connection_state& state, const drain_clock& drain) {
  const auto failed = [&] {  // after a call that returned -1
    if (errno != EINTR && errno != EAGAIN) return state.failed();
    state.time_passed();
    if (drain.expired()) state.abort();
  };
  for (;;) {
    switch (state.next()) {
      case step::receive: {
        if (drain.stopping()) state.stop(bytes_readable(socket));
        if (state.next() != step::receive) break;
        const int flags = wait_before_call(socket, POLLIN, state, drain);
        const auto space = state.space();
        const ssize_t n = ::recv(socket, space.data(), space.size(), flags);
        n >= 0 ? state.received(static_cast<std::size_t>(n)) : failed();
        break;
      }
      case step::send: {
        const int flags = wait_before_call(socket, POLLOUT, state, drain);
        const auto bytes = state.pending();
        const ssize_t n = ::send(socket, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
        n >= 0 ? state.sent(static_cast<std::size_t>(n)) : failed();
        break;
      }
      case step::work:  // offloaded or not: this thread serves no other connection
        state.burn();
        state.carried_out();
        break;
      case step::sleep:
        sleep_until(state.deadline(), drain);
        state.time_passed();
        if (state.next() == step::sleep) state.abort();
        break;
      case step::end_sending:
        ::shutdown(socket, SHUT_WR);
        state.sending_ended();
        break;
      case step::close: return;
    }
  }
}

void serve_one_by_one(blocking_acceptor& acceptor, const connection_options& options,
                      const drain_clock& drain, server_totals& totals) {
  buffer_pool pool(buffer_pool::use::one_thread);
  while (unique_fd socket = acceptor.next(totals)) {
    connection_state state(options, pool, drain);
    serve_blocking(socket.get(), state, drain);
    state.add_to(totals);
  }
}

}  // namespace echobench
