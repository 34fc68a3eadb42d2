#include "servers/serving/blocking.hpp"

#include "servers/serving/session_io.hpp"

#include <poll.h>
#include <signal.h>

#include <cerrno>
#include <system_error>

namespace echobench {
namespace {

constexpr int wake_signal = SIGUSR1;

void set_timeouts(int fd, std::chrono::nanoseconds timeout) {
  const auto rounded = std::chrono::ceil<std::chrono::microseconds>(timeout);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(rounded);
  const timeval value{.tv_sec = seconds.count(), .tv_usec = (rounded - seconds).count()};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, sizeof value);
}

int milliseconds_until(drain_clock::clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - drain_clock::clock::now());
  return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 60'000));
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

blocking_acceptor::blocking_acceptor(const std::vector<unique_fd>& listeners, std::stop_token stop)
    : listeners_(listeners), stop_(std::move(stop)), on_stop_(stop_, signaller{&stopped_}) {}

unique_fd blocking_acceptor::next(server_totals& totals) {
  std::vector<pollfd> waiting{{.fd = stopped_.fd(), .events = POLLIN, .revents = 0}};
  for (const unique_fd& listener : listeners_) {
    waiting.push_back({.fd = listener.get(), .events = POLLIN, .revents = 0});
  }
  while (!stop_.stop_requested()) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      const pollfd& ready = waiting[1 + next_];
      next_ = (next_ + 1) % listeners_.size();
      if (ready.revents == 0) continue;
      if (unique_fd socket = accept_connection(ready.fd, accepted_socket::blocking)) {
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

blocking_connection::blocking_connection(unique_fd socket, const server_options& options, buffer_pool& pool,
                                         const drain_clock& drain)
    : socket_(std::move(socket)), drain_(drain), session_(options.session, pool) {
  if (options.idle_timeout.count() > 0) set_timeouts(socket_.get(), options.idle_timeout);
}

void blocking_connection::serve() {
  while (send_pending()) {
    if (const auto request = session_.take_deferred()) {
      carry_out(*request);
      session_.complete_deferred();
    } else if (session_.finished()) {
      linger();
      break;
    } else if (!receive()) {
      break;
    }
  }
  socket_.reset();
}

bool blocking_connection::send_pending() {
  while (!session_.pending().empty()) {
    const auto bytes = session_.pending();
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n >= 0) {
      session_.sent(static_cast<std::size_t>(n));
    } else if (failed()) {
      return false;
    }
  }
  return true;
}

void blocking_connection::carry_out(const deferred_request& request) {
  if (request.what == deferred_request::kind::work) {  // offloaded or not: this thread serves nobody else
    burn_cpu(request.duration, [this] { return drain_.expired(); });
    return;
  }
  const auto until = drain_clock::clock::now() + request.duration;
  while (drain_clock::clock::now() < until && !drain_.expired()) {
    const auto left = until - drain_clock::clock::now();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec time{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
    if (left.count() > 0) ::nanosleep(&time, nullptr);
  }
}

bool blocking_connection::receive() {
  if (drain_.stopping()) {
    session_.finish_after(bytes_readable(socket_.get()));
    if (session_.finished()) return true;
  }
  return receive_into(session_, socket_.get()) >= 0 || !failed();
}

bool blocking_connection::failed() {
  if (errno == EINTR) {
    if (!drain_.expired()) return false;
    error_ = server_error::drain_timeout;
  } else {
    error_ = errno == EAGAIN ? server_error::idle_timeout : server_error::reset;
  }
  return true;
}

void blocking_connection::linger() {
  if (session_.peer_has_finished()) return;
  ::shutdown(socket_.get(), SHUT_WR);
  const auto deadline = drain_clock::clock::now() + linger_time;
  while (drain_clock::clock::now() < std::min(deadline, drain_.deadline())) {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&waiting, 1, milliseconds_until(deadline)) > 0 &&
        discard_input(socket_.get()) == discarded::end) {
      return;
    }
  }
}

void blocking_connection::add_to(server_totals& totals) const noexcept {
  session_.add_to(totals);
  if (error_) totals.count(*error_);
}

}  // namespace echobench
