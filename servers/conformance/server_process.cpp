#include "servers/conformance/server_process.hpp"

#include "common/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;

// Appends what can be read, waiting for it; false at the end of the input.
bool read_some(int fd, std::string& to) {
  std::array<char, 4096> chunk;
  const ssize_t n = ::read(fd, chunk.data(), chunk.size());
  if (n > 0) to.append(chunk.data(), static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && errno == EINTR);
}

[[noreturn]] void become(char** argv, int out, int err, unsigned descriptors) {
  ::setpgid(0, 0);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  constexpr rlim_t stack_size = server_process::stack_size;
  const rlimit stack{.rlim_cur = stack_size, .rlim_max = stack_size};  // for threads, too
  ::setrlimit(RLIMIT_STACK, &stack);
  if (descriptors > 0) {
    const rlimit limit{.rlim_cur = descriptors, .rlim_max = descriptors};
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (::chdir(ECHOBENCH_ROOT) == 0) ::execvp(argv[0], argv);
  ::_exit(127);
}

}  // namespace

nlohmann::json exit_report::totals() const { return nlohmann::json::parse(output); }

server_process::server_process(std::vector<std::string> command, unsigned descriptors) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) fail("pipe2");
  std::vector<char*> argv;
  for (std::string& part : command) argv.push_back(part.data());
  argv.push_back(nullptr);

  pid_ = fork_bound_to_parent(command.front());  // no server is left, however the test ends
  if (pid_ == 0) become(argv.data(), out[1], err[1], descriptors);
  ::setpgid(pid_, pid_);  // the child does the same: the order is not known
  ::close(out[1]);
  ::close(err[1]);
  out_ = unique_fd(out[0]);
  err_ = unique_fd(err[0]);
  while (buffered_.find('\n') == std::string::npos && read_some(out_.get(), buffered_)) {
  }
  if (const auto end = buffered_.find('\n'); end != std::string::npos) {
    listening_ = nlohmann::json::parse(buffered_.substr(0, end), nullptr, false);
    if (listening_.is_discarded()) listening_ = nullptr;
    buffered_.erase(0, end + 1);
  }
}

server_process::~server_process() {
  if (pid_ < 0) return;
  signal_all(SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

endpoint server_process::address(std::size_t index) const {
  return resolve(listening_.at("addresses").at(index).get<std::string>());
}

void server_process::signal(int number) const { ::kill(pid_, number); }

void server_process::signal_all(int number) const { ::kill(-pid_, number); }

exit_report server_process::wait() {
  exit_report report{.output = std::move(buffered_)};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const unique_fd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  if (!ended) fail("pidfd_open");
  std::array<pollfd, 3> waiting{{{.fd = ended.get(), .events = POLLIN, .revents = 0},
                                 {.fd = out_.get(), .events = POLLIN, .revents = 0},
                                 {.fd = err_.get(), .events = POLLIN, .revents = 0}}};
  const std::array<std::string*, 3> texts{nullptr, &report.output, &report.errors};
  // Does not wait for the end of the pipes: a process that the server leaves behind would keep them open.
  for (bool exited = false; !exited;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(std::max(left, 0ms).count()));
    if (ready == 0) signal_all(SIGKILL);
    exited = ready > 0 && waiting[0].revents != 0;
    for (const std::size_t i : {1, 2}) {
      while (waiting[i].fd >= 0 && ready_within(waiting[i].fd, POLLIN, 0ms)) {
        if (!read_some(waiting[i].fd, *texts[i])) waiting[i].fd = -1;
      }
    }
  }
  int status = 0;
  ::waitpid(pid_, &status, 0);
  report.left_processes = ::kill(-pid_, 0) == 0;
  if (report.left_processes) signal_all(SIGKILL);
  pid_ = -1;
  report.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return report;
}

exit_report server_process::stop() {
  signal(SIGTERM);
  return wait();
}

}  // namespace echobench::testing
