#include "servers/serving/blocking.hpp"

#include "common/timespec.hpp"
#include "servers/serving/nonblocking.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

namespace echobench {
namespace {

constexpr int wake_signal = SIGUSR1;
constexpr std::chrono::milliseconds shortest_pause{10};

using clock = connection_state::clock;
using step = connection_state::step;

// The call, with the flags that it needs. Without a deadline it blocks itself; with one, this waits before
// it, and fails as the call would if nothing has been reported: send(2) may take a few bytes more, although
// poll(2) does not say so, and that is no traffic.
template <class Call>
ssize_t call_in_time(int socket, short events, const connection_state& state, const drain_clock& drain,
                     Call call) {
  if (state.deadline() == connection_state::never) return call(0);
  const auto left = std::min(state.deadline(), drain.deadline()) - clock::now();
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  pollfd ready{.fd = socket, .events = events, .revents = 0};
  const int timeout = static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(rounded, 0, 60'000));
  const int reported = ::poll(&ready, 1, timeout);
  if (reported == 0) errno = EAGAIN;
  return reported > 0 ? call(MSG_DONTWAIT) : -1;
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

unsigned clients_at_once(const server_options& options) noexcept {
  return options.max_connections == 0 ? options.threads : std::min(options.threads, options.max_connections);
}

void require_descriptors(std::size_t clients) {
  std::vector<unique_fd> reserved;
  while (reserved.size() < clients) {
    reserved.emplace_back(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
    if (reserved.back()) continue;
    throw std::system_error(errno, std::system_category(),
                            "cannot reserve a descriptor for client " + std::to_string(reserved.size()) +
                                " of " + std::to_string(clients) + " (ulimit -n)");
  }
}

interrupter::timer::timer() {
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = wake_signal;
  event._sigev_un._tid = ::gettid();
  if (::timer_create(CLOCK_MONOTONIC, &event, &id_) != 0) {
    throw std::system_error(errno, std::system_category(), "timer_create");
  }
}

void interrupter::timer::set(std::chrono::nanoseconds first,
                             std::chrono::nanoseconds interval) const noexcept {
  const itimerspec times{.it_interval = to_timespec(interval), .it_value = to_timespec(first)};
  ::timer_settime(id_, 0, &times, nullptr);
}

void interrupter::starter::operator()() const noexcept {
  started->set(std::chrono::nanoseconds(1), shortest_pause);
}

interrupter::interrupter(const std::stop_token& stop) : on_stop_(stop, starter{&timer_}) {
  instance_ = this;
  struct sigaction action {};
  action.sa_sigaction = &woken;
  action.sa_flags = SA_SIGINFO;  // without SA_RESTART: the interrupted call fails
  ::sigaction(wake_signal, &action, nullptr);
}

interrupter::~interrupter() { instance_ = nullptr; }

void interrupter::woken(int, siginfo_t* signal, void*) noexcept {
  if (signal->si_code == SI_TIMER && instance_ != nullptr) instance_->wake_registered();
}

// In a signal handler, which must not wait: if a thread registers at this moment, the next signal comes soon.
void interrupter::wake_registered() noexcept {
  if (registering_.test_and_set(std::memory_order_acquire)) return;
  for (const registration& thread : registered_) ::pthread_kill(thread.thread_, wake_signal);
  const auto pause = shortest_pause + registered_.size() * std::chrono::microseconds(10);
  registering_.clear(std::memory_order_release);
  timer_.set(pause, pause);
}

interrupter::registration::registration(interrupter& owner) noexcept : owner_(owner) {
  owner_.change([this] { owner_.registered_.push_back(*this); });
}

interrupter::registration::~registration() {
  owner_.change([this] { owner_.registered_.erase(owner_.registered_.iterator_to(*this)); });
}

blocking_acceptor::blocking_acceptor(const std::vector<unique_fd>& listeners, std::stop_token stop,
                                     waits where)
    : listeners_(listeners),
      in_accept_(where == waits::in_accept && listeners.size() == 1),
      stop_(std::move(stop)) {
  if (in_accept_) set_blocking(listeners.front().get(), true);
  for (const unique_fd& listener : listeners_) {
    waiting_.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
  }
}

// Without a descriptor accept(2) fails at once, even if nobody waits: that is no error yet. poll(2) knows.
unique_fd blocking_acceptor::next(server_totals& totals) {
  while (!stop_.stop_requested()) {
    const bool polls = !in_accept_ || lacks_;
    if (polls && ::poll(waiting_.data(), waiting_.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      const std::size_t turn = next_;
      next_ = (next_ + 1) % listeners_.size();
      if (polls && waiting_[turn].revents == 0) continue;
      unique_fd socket = accept_connection(listeners_[turn].get(), accepted_socket::blocking);
      lacks_ = !socket && accept_must_pause(errno);
      if (socket) {
        ++totals.accepted;
        return socket;
      }
      if (lacks_ && polls) {
        totals.count(server_error::accept);
        pause();
      }
    }
  }
  return {};
}

void blocking_acceptor::pause() const {
  const auto time = to_timespec(accept_pause);
  ::nanosleep(&time, nullptr);
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
        const ssize_t n = call_in_time(socket, POLLIN, state, drain, [&](int flags) {
          const auto space = state.space();
          return ::recv(socket, space.data(), space.size(), flags);
        });
        n >= 0 ? state.received(static_cast<std::size_t>(n)) : failed();
        break;
      }
      case step::send: {
        const ssize_t n = call_in_time(socket, POLLOUT, state, drain, [&](int flags) {
          const auto bytes = state.pending();
          return ::send(socket, bytes.data(), bytes.size(), flags | MSG_NOSIGNAL);
        });
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
