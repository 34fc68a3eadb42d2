// How a server is told to stop.
#pragma once

#include <pthread.h>

#include <csignal>
#include <stop_token>
#include <thread>

namespace echobench {

// Turns SIGINT and SIGTERM, which every thread blocks, into a request to stop.
class stop_on_signal {
public:
  explicit stop_on_signal(const sigset_t& signals)
      : waiter_([this, signals] {
          int signal = 0;
          ::sigwait(&signals, &signal);
          stop_.request_stop();
        }) {}
  ~stop_on_signal() {
    // In case no signal has come; it is blocked and waited for, so that it ends the waiting and no thread.
    ::pthread_kill(waiter_.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
  }

  std::stop_token token() const noexcept { return stop_.get_token(); }

private:
  std::stop_source stop_;
  std::jthread waiter_;
};

}  // namespace echobench
