#include "common/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <string>

namespace echobench {
namespace {

sigset_t stop_signals() noexcept {
  sigset_t stop;
  sigemptyset(&stop);
  struct sigaction hangup {};
  ::sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&stop, SIGHUP);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  return stop;
}

}  // namespace

std::uint64_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

sigset_t block_stop_signals() noexcept {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  const sigset_t stop = stop_signals();
  ::pthread_sigmask(SIG_BLOCK, &stop, nullptr);
  return stop;
}

void forget_stop_signals() noexcept {
  const sigset_t stop = stop_signals();
  const timespec at_once{};
  while (::sigtimedwait(&stop, nullptr, &at_once) > 0) {
  }
}

stop_signals_allowed::stop_signals_allowed() noexcept {
  const sigset_t stop = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &stop, &before_);
}

stop_signals_allowed::~stop_signals_allowed() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

pid_t fork_bound_to_parent(std::string_view what) {
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) {
    throw std::system_error(errno, std::system_category(),
                            "cannot start " + std::string(what) + " (ulimit -u)");
  }
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(exit_failed);  // it has ended meanwhile
  }
  return pid;
}

void open_standard_streams() {
  const auto is_open = [](int fd) { return ::fcntl(fd, F_GETFD) >= 0; };
  const bool prints = is_open(STDOUT_FILENO);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest number that is free is taken, open(2).
    if (!is_open(fd) && ::open("/dev/null", O_RDWR) != fd) {
      throw std::system_error(errno, std::system_category(),
                              "cannot open /dev/null in place of a standard stream that is closed");
    }
  }
  if (!prints) {
    throw std::runtime_error(
        "standard output is closed: open it, or redirect it to /dev/null to discard what is printed");
  }
}

std::error_code write_all(int fd, std::string_view& text) noexcept {
  while (!text.empty()) {
    const auto n = ::write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN) {
      pollfd writable{.fd = fd, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return {errno, std::system_category()};
    }
  }
  return {};
}

void print_output(std::string_view text) {
  if (const std::error_code error = write_all(STDOUT_FILENO, text))
    throw std::system_error(error, "cannot write to standard output");
}

}  // namespace echobench
