// As many processes as clients are to be served at once, forked beforehand: each blocks in accept(2), then
// serves its client until the client leaves. What goes wrong in a process harms its own client only.
#include "servers/serving/blocking.hpp"
#include "servers/variants.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace echobench {
namespace {

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::system_category(), what); }

std::stop_source stop_of_child;  // used in a child, which has one thread

// What the children count, in memory that they share with their parent.
class shared_totals {
public:
  explicit shared_totals(unsigned children) : size_(children * sizeof(server_totals)) {
    void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap of the children's totals");
    first_ = static_cast<server_totals*>(memory);
    std::uninitialized_default_construct_n(first_, children);
  }
  shared_totals(const shared_totals&) = delete;
  shared_totals& operator=(const shared_totals&) = delete;
  ~shared_totals() { ::munmap(first_, size_); }

  server_totals& of(std::size_t child) noexcept { return first_[child]; }

private:
  std::size_t size_;
  server_totals* first_;
};

class prefork_server {
public:
  static constexpr std::string_view name = "prefork";
  static constexpr std::string_view summary = "processes that block in accept, each with a client of its own";
  static constexpr clients holds = clients::threads;
  static std::string_view unavailable_reason() { return ""; }

  // Forks here, before the process has any threads.
  explicit prefork_server(const server_options& options)
      : options_(options), listeners_(options, 1), totals_(options.threads) {
    const unsigned most = options.max_connections;
    if (most > 0) options_.threads = std::min(options_.threads, most);
    while (children_.size() < options_.threads) fork_child();
    stopped_.emplace();
  }
  prefork_server(const prefork_server&) = delete;
  prefork_server& operator=(const prefork_server&) = delete;
  ~prefork_server() { end_children(SIGKILL); }

  const listener_set& listeners() const noexcept { return listeners_; }

  // Returns when all children have ended. They are signalled again and again, because a signal that comes
  // just before a call blocks is lost.
  server_outcome run(const std::stop_token& stop) {
    const std::stop_callback on_stop(stop, [this] { stopped_->signal(); });
    server_outcome outcome;
    while (!children_.empty()) {
      const bool stopping = stop.stop_requested();
      if (stopping) end_children(SIGTERM);
      wait_for_an_end(stopping ? 20 : -1);
      if (reap() && !stop.stop_requested()) {
        throw std::runtime_error(
            "prefork: a child has ended by itself: its client is lost, and it serves no other");
      }
    }
    for (unsigned i = 0; i < options_.threads; ++i) outcome.totals += totals_.of(i);
    return outcome;
  }

private:
  struct child_process {
    pid_t pid;
    unique_fd ended;  // readable when it has ended
  };

  void fork_child() {
    const pid_t parent = ::getpid();
    const std::size_t index = children_.size();
    const pid_t pid = ::fork();
    if (pid < 0) fail("fork");
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      serve_clients(totals_.of(index));
      ::_exit(0);
    }
    children_.push_back({pid, unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))});
    if (!children_.back().ended) fail("pidfd_open");
  }

  // noexcept: an exception ends the child, and the parent reports that; the child must not go on as if it
  // were the parent.
  void serve_clients(server_totals& totals) noexcept {
    const std::stop_token stop = stop_of_child.get_token();
    const drain_clock drain(stop, options_.drain_timeout);
    blocking_acceptor acceptor(listeners_.of_loop(0), stop, blocking_acceptor::waits::in_accept);
    struct sigaction on_signal {};
    on_signal.sa_handler = [](int) { stop_of_child.request_stop(); };  // without SA_RESTART: calls fail
    ::sigaction(SIGTERM, &on_signal, nullptr);
    sigset_t terminate;
    ::sigemptyset(&terminate);
    ::sigaddset(&terminate, SIGTERM);
    ::sigprocmask(SIG_UNBLOCK, &terminate, nullptr);
    serve_one_by_one(acceptor, options_.connection, drain, totals);
  }

  void end_children(int signal) {
    for (const child_process& child : children_) ::kill(child.pid, signal);
    if (signal == SIGKILL) {
      for (const child_process& child : children_) ::waitpid(child.pid, nullptr, 0);
    }
  }

  void wait_for_an_end(int at_most_ms) const {
    std::vector<pollfd> waiting;
    if (at_most_ms < 0) waiting.push_back({.fd = stopped_->fd(), .events = POLLIN, .revents = 0});
    for (const child_process& child : children_)
      waiting.push_back({.fd = child.ended.get(), .events = POLLIN, .revents = 0});
    ::poll(waiting.data(), waiting.size(), at_most_ms);
  }

  // Whether a child has ended with an error.
  bool reap() {
    bool wrong = false;
    std::erase_if(children_, [&](const child_process& child) {
      int status = 0;
      if (::waitpid(child.pid, &status, WNOHANG) != child.pid) return false;
      wrong |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
      return true;
    });
    return wrong;
  }

  server_options options_;
  listener_set listeners_;
  shared_totals totals_;
  std::vector<child_process> children_;
  std::optional<wake_event> stopped_;  // the parent's
};

}  // namespace

const variant variants::prefork = describe<prefork_server>();

}  // namespace echobench
