#include "servers/serving/child_processes.hpp"

#include "common/process.hpp"
#include "common/timespec.hpp"
#include "servers/serving/blocking.hpp"
#include "servers/serving/turns.hpp"
#include "servers/stop_on_signal.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <exception>
#include <stdexcept>
#include <string>
#include <system_error>

namespace echobench {
namespace {

using std::chrono::steady_clock;

constexpr pid_t nobody = -1;
constexpr std::chrono::seconds time_to_end{5};  // after the drain time-out, on a busy host

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::system_category(), what); }

bool ended_well(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == exit_ok; }

// False: it still runs.
bool ends_until(steady_clock::time_point last, pid_t child) {
  const unique_fd process(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  if (!process) return true;  // the system is out of descriptors: it is waited for without limit
  pollfd ended{.fd = process.get(), .events = POLLIN, .revents = 0};
  int reported = -1;
  while (reported < 0) {  // a signal ends the call
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(last - steady_clock::now()).count();
    reported =
        ::poll(&ended, 1, static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left, 0, INT_MAX)));
  }
  return reported > 0;
}

std::string read_to_end(int fd) {
  std::string text;
  std::array<char, 512> part;
  for (;;) {
    const ssize_t n = ::read(fd, part.data(), part.size());
    if (n > 0) text.append(part.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) return text;
  }
}

}  // namespace

void child_processes::unmap::operator()(server_totals* totals) const noexcept { ::munmap(totals, bytes); }

child_processes::child_processes(serve_function serve, unsigned n)
    : serve_(std::move(serve)), pids_(n, nobody), totals_(nullptr, unmap{n * sizeof(server_totals)}) {
  void* const memory =
      ::mmap(nullptr, totals_.get_deleter().bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) fail("mmap of the children's totals");
  totals_.reset(static_cast<server_totals*>(memory));
  std::uninitialized_default_construct_n(totals_.get(), n);
}

// Delegating: an exception runs the destructor, and no child is left.
child_processes::child_processes(unsigned n, serve_function serve) : child_processes(std::move(serve), n) {
  for (std::size_t i = 0; i < pids_.size(); ++i) start(i);
}

child_processes::~child_processes() {
  for (const pid_t pid : pids_) {
    if (pid == nobody) continue;
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
}

// The child closes its end of the pipe when it is ready, or writes why it never will be.
void child_processes::start(std::size_t index) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("a pipe to a child");
  unique_fd from_child(ends[0]);
  unique_fd to_parent(ends[1]);
  const auto place = std::to_string(index + 1) + " of " + std::to_string(pids_.size());
  const pid_t pid = fork_bound_to_parent("process " + place);
  if (pid == 0) {
    from_child.reset();
    become_child(index, std::move(to_parent));
  }
  pids_[index] = pid;
  to_parent.reset();
  if (const std::string why = read_to_end(from_child.get()); !why.empty()) {
    ::waitpid(pid, nullptr, 0);
    pids_[index] = nobody;
    throw std::runtime_error("process " + place + ": " + why);
  }
}

// The child must not go on as if it were the parent. Ctrl-C reaches all of them: SIGINT and SIGHUP are the
// parent's, which sends SIGTERM.
void child_processes::become_child(std::size_t index, unique_fd to_parent) noexcept {
  try {
    sigset_t terminate;
    sigemptyset(&terminate);
    sigaddset(&terminate, SIGTERM);
    const stop_on_signal stop(terminate, stop_on_signal::by::handler);
    server_totals& totals = totals_.get()[index];
    serve_({.index = static_cast<unsigned>(index), .totals = totals, .stop = stop.token(), .ready = [&] {
              to_parent.reset();
            }});
    totals.turns += thread_turns::total();
    ::_exit(exit_ok);
  } catch (const std::exception& error) {
    std::string_view why = error.what();
    const std::string line = "echo-server: a process has ended: " + std::string(why) + '\n';
    if (!to_parent) why = line;
    write_all(to_parent ? to_parent.get() : STDERR_FILENO, why);
    ::_exit(exit_failed);
  }
}

void child_processes::replace_until(const std::stop_token& stop) {
  for (const interrupter wakes(stop); !stop.stop_requested();) {
    wait_for_an_end();
    if (!stop.stop_requested()) replace_ended();
  }
}

std::span<const server_totals> child_processes::stop(std::chrono::nanoseconds drain_timeout) {
  for (const pid_t pid : pids_) {
    if (pid != nobody) ::kill(pid, SIGTERM);
  }
  const auto last = steady_clock::now() + drain_timeout + time_to_end;
  for (std::size_t i = 0; i < pids_.size(); ++i) {
    if (pids_[i] == nobody) continue;
    if (!ends_until(last, pids_[i])) ::kill(pids_[i], SIGKILL);
    int status = 0;
    while (::waitpid(pids_[i], &status, 0) < 0 && errno == EINTR) {
    }
    pids_[i] = nobody;
    if (!ended_well(status)) totals_.get()[i].count(server_error::worker_lost);
  }
  return {totals_.get(), pids_.size()};
}

// Then pauses, so that children which end at once do not keep this process busy; and because a signal that
// stops the whole group may reach a child first.
void child_processes::wait_for_an_end() const {
  const stop_on_signal::allowed interruptible;
  const bool complete = std::ranges::find(pids_, nobody) == pids_.end();
  siginfo_t ended;
  if (complete && ::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0) return;
  const auto pause = to_timespec(accept_pause);
  ::nanosleep(&pause, nullptr);
}

void child_processes::replace_ended() {
  for (std::size_t i = 0; i < pids_.size(); ++i) {
    if (pids_[i] != nobody) {
      if (::waitpid(pids_[i], nullptr, WNOHANG) != pids_[i]) continue;
      pids_[i] = nobody;
      totals_.get()[i].count(server_error::worker_lost);
    }
    try {
      start(i);
    } catch (const std::exception&) {  // the place stays empty until the next attempt
    }
  }
}

}  // namespace echobench
