#include "servers/serving/reactor.hpp"

#include <array>
#include <cerrno>
#include <system_error>

namespace echobench {
namespace {

constexpr std::uint32_t disarmed = EPOLLONESHOT;  // in the set, reporting nothing

}  // namespace

reactor::reactor(const server_options& options, listener_set& listeners, unsigned loop,
                 connection_count& count, buffer_pool& pool, const drain_clock& drain, report how)
    : options_(options),
      listeners_(listeners),
      loop_(loop),
      count_(count),
      pool_(pool),
      drain_(drain),
      report_(how),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw std::system_error(errno, std::system_category(), "epoll_create1");
  if (!control(EPOLL_CTL_ADD, wake_.fd(), EPOLLIN, &wake_)) {
    throw std::system_error(errno, std::system_category(), "epoll_ctl");
  }
  if (!open_accepting()) throw std::system_error(errno, std::system_category(), "epoll_ctl for a listener");
}

server_totals reactor::run(const std::stop_token& stop, const std::function<void(connection&)>& on_ready,
                           const std::function<void(connection&)>& on_offload) {
  on_offload_ = on_offload;
  const std::stop_callback on_stop(stop, [this] { wake_.signal(); });
  std::array<epoll_event, 512> events;
  while (!draining_ || !connections_.empty()) {
    const int ready = wait_for_events(events);
    if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "epoll_wait");
    bool woken = false;
    bool acceptable = false;
    for (int i = 0; i < ready; ++i) {
      void* tag = events[static_cast<std::size_t>(i)].data.ptr;
      if (tag == &wake_) {
        woken = true;
      } else if (tag == &listeners_) {
        acceptable = true;
      } else {
        auto& who = *static_cast<connection*>(tag);
        if (report_ == report::once) who.events = disarmed;
        on_ready(who);
      }
    }
    if (woken) {
      wake_.clear();
      take_back();
    }
    call_due();
    if (acceptable && accepting_) accept_all();
    if (!draining_ && stop.stop_requested()) begin_draining();
    if (draining_ && drain_.expired()) abort_all();
  }
  return totals_;
}

void reactor::resume(connection& who, wait next) {
  bool watched = true;
  switch (next) {
    case wait::readable: watched = watch(who, EPOLLIN); break;
    case wait::writable: watched = watch(who, EPOLLOUT); break;
    case wait::time:
      watched = watch(who, 0);
      break;  // or a peer that resets meanwhile would be reported without end
    case wait::offload:
      hand_out(who);
      on_offload_(who);
      return;
    case wait::nothing: destroy(who); return;
  }
  if (!watched) {  // epoll_ctl(2): no memory, or /proc/sys/fs/epoll/max_user_watches is reached
    totals_.count(server_error::accept);
    destroy(who);
  } else if (who.deadline() < who.alarm) {
    set_alarm(who, who.deadline());
  }
}

void reactor::hand_out(connection& who) {
  who.handed_out = true;
  watch(who, 0);
}

void reactor::hand_back(connection& who, wait next) {
  who.outcome = next;
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = handed_back_.empty();
    handed_back_.push_back(&who);
  }
  if (first) wake_.signal();
}

bool reactor::control(int operation, int fd, std::uint32_t events, void* tag) noexcept {
  epoll_event event{.events = events, .data = {.ptr = tag}};
  return ::epoll_ctl(epoll_.get(), operation, fd, &event) == 0;
}

// Until the next alarm, the end of draining, or the end of a pause in accepting.
int reactor::wait_for_events(std::span<epoll_event> events) const {
  auto until = accept_at_;
  if (draining_) until = std::min(until, drain_.expired() ? clock::now() + accept_pause : drain_.deadline());
  if (!alarms_.empty()) until = std::min(until, (*alarms_.begin())->alarm);
  const int capacity = static_cast<int>(events.size());
  if (until == clock::time_point::max()) return ::epoll_wait(epoll_.get(), events.data(), capacity, -1);

  const auto left = std::max(until - clock::now(), clock::duration::zero());
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
  const timespec timeout{.tv_sec = seconds.count(), .tv_nsec = (left - seconds).count()};
  return ::epoll_pwait2(epoll_.get(), events.data(), capacity, &timeout, nullptr);
}

void reactor::accept_all() {
  constexpr int at_once = 128;  // then the connections that exist have their turn
  for (const unique_fd& listener : listeners_.of_loop(loop_)) {
    for (int i = 0; i < at_once; ++i) {
      if (count_.full()) return pause_accepting();
      unique_fd socket = accept_connection(listener.get(), accepted_socket::non_blocking);
      if (!socket) {
        if (!accept_must_pause(errno)) break;
        totals_.count(server_error::accept);
        return pause_accepting();
      }
      ++totals_.accepted;
      count_.add();
      auto* who =
          new connection(std::move(socket), options_, pool_, drain_,
                         report_ == report::once ? connection::work::offloaded : connection::work::here);
      connections_.push_back(*who);
      resume(*who, wait::readable);
    }
  }
}

bool reactor::open_accepting() {
  accepting_ = true;
  accept_at_ = clock::time_point::max();
  for (const unique_fd& listener : listeners_.of_loop(loop_)) {
    if (!control(EPOLL_CTL_ADD, listener.get(), EPOLLIN, &listeners_)) return false;
  }
  return true;
}

void reactor::pause_accepting() {
  for (const unique_fd& listener : listeners_.of_loop(loop_))
    control(EPOLL_CTL_DEL, listener.get(), 0, nullptr);
  accepting_ = false;
  accept_at_ = clock::now() + accept_pause;
}

bool reactor::watch(connection& who, std::uint32_t events) noexcept {
  if (events != 0) events |= static_cast<std::uint32_t>(report_);
  if (events == who.events || (events == 0 && who.events == disarmed)) return true;
  const int operation = who.events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
  if (!control(operation, who.fd(), events, &who)) return false;
  who.events = events;
  return true;
}

void reactor::set_alarm(connection& who, clock::time_point when) {
  if (who.alarm != connection::never) alarms_.erase(&who);
  who.alarm = when;
  if (when != connection::never) alarms_.insert(&who);
}

void reactor::destroy(connection& who) {
  set_alarm(who, connection::never);
  who.add_to(totals_);
  connections_.erase_and_dispose(connections_.iterator_to(who), std::default_delete<connection>());
  count_.remove();
  if (!accepting_ && !draining_) accept_at_ = clock::now();
}

void reactor::take_back() {
  std::vector<connection*> returned;
  {
    const std::lock_guard lock(mutex_);
    returned.swap(handed_back_);
  }
  for (connection* who : returned) {
    who->handed_out = false;
    wait next = who->outcome == wait::offload ? who->complete() : who->outcome;
    if (draining_ && next != wait::nothing) next = who->drain();
    resume(*who, next);
  }
}

void reactor::call_due() {
  if (alarms_.empty() && accept_at_ == clock::time_point::max()) return;
  const auto now = clock::now();
  while (!alarms_.empty() && (*alarms_.begin())->alarm <= now) {
    connection& who = **alarms_.begin();
    set_alarm(who, connection::never);
    if (who.handed_out) {
      set_alarm(who, now + accept_pause);
    } else {
      resume(who, who.due());
    }
  }
  if (!draining_ && accept_at_ <= now) {
    open_accepting() ? accept_all() : pause_accepting();
  }
}

void reactor::begin_draining() {
  draining_ = true;
  accept_at_ = clock::time_point::max();
  listeners_.close(loop_);
  for (auto next = connections_.begin(); next != connections_.end();) {
    connection& who = *next++;
    if (!who.handed_out) resume(who, who.drain());
  }
}

void reactor::abort_all() {
  for (auto next = connections_.begin(); next != connections_.end();) {
    connection& who = *next++;
    if (who.handed_out) continue;
    who.abort();
    destroy(who);
  }
}

}  // namespace echobench
