// How signals stop a server.
#pragma once

#include <poll.h>
#include <pthread.h>
#include <sys/time.h>

#include <cerrno>
#include <csignal>
#include <stop_token>
#include <thread>

namespace echobench {

// Turns SIGHUP, SIGINT and SIGTERM, which every thread blocks, into a request to stop. One at a time in a
// process.
class stop_on_signal {
public:
  // In a thread that waits for them; or in a signal handler, while the server's thread allows it: then the
  // callbacks of the token must be safe in a handler. A second thread costs a single-threaded server 1 to 5 %
  // of its CPU time: only then does the kernel count references to a descriptor in each system call (fdget()
  // in fs/file.c).
  enum class by { thread, handler };

  // `signals` are blocked; the others stay as they are.
  stop_on_signal(const sigset_t& signals, by how) {
    if (how == by::thread) {
      waiter_ = std::jthread([this, signals] {
        int signal = 0;
        ::sigwait(&signals, &signal);
        stop_.request_stop();
      });
    } else {
      handling_ = {this, signals};
      struct sigaction action {};
      action.sa_handler = [](int) {
        const int error = errno;
        handling_.self->stop_.request_stop();
        errno = error;
      };
      action.sa_mask = signals;
      action.sa_flags = SA_RESTART;
      for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
        if (::sigismember(&signals, signal) == 1) ::sigaction(signal, &action, nullptr);
      }
#ifdef __SANITIZE_THREAD__
      interrupt_calls();
#endif
    }
  }
  stop_on_signal(const stop_on_signal&) = delete;
  stop_on_signal& operator=(const stop_on_signal&) = delete;
  ~stop_on_signal() {
    // If no signal has come, this ends the wait of that thread; the signal is blocked everywhere else.
    if (waiter_.joinable())
      ::pthread_kill(waiter_.native_handle(), SIGTERM);  // NOLINT(bugprone-bad-signal-to-kill-thread)
    handling_.self = nullptr;
  }

  std::stop_token token() const noexcept { return stop_.get_token(); }

  // Lets the handler, if there is one, interrupt the calling thread and those that it starts. Not while a
  // callback is registered with the token or removed from it.
  class allowed {
  public:
    allowed() noexcept { set(SIG_UNBLOCK); }
    allowed(const allowed&) = delete;
    allowed& operator=(const allowed&) = delete;
    ~allowed() { set(SIG_BLOCK); }

  private:
    static void set(int how) noexcept {
      if (handling_.self != nullptr) ::pthread_sigmask(how, &handling_.signals, nullptr);
    }
  };

private:
#ifdef __SANITIZE_THREAD__
  // ThreadSanitizer runs a handler when the call ends during which the signal came, and it does not know all
  // calls that block: this ends them. It loses a signal that comes while a thread's first call that blocks
  // makes the place where signals are kept (SigCtx() in tsan_interceptors_posix.cpp): poll() makes it here.
  static void interrupt_calls() {
    ::poll(nullptr, 0, 0);
    struct sigaction nothing {};
    nothing.sa_handler = [](int) {};  // without SA_RESTART: the call fails
    ::sigaction(SIGALRM, &nothing, nullptr);
    constexpr timeval often{.tv_sec = 0, .tv_usec = 100'000};
    const itimerval timer{.it_interval = often, .it_value = often};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
#endif

  struct handling {
    stop_on_signal* self;
    sigset_t signals;
  };
  static inline handling handling_{};

  std::stop_source stop_;
  std::jthread waiter_;
};

}  // namespace echobench
