#include "servers/conformance/server_process.hpp"

#include "common/cpu.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::system_category(), what);
}

// Appends what can be read at once-or-later; false at the end.
bool read_some(int fd, std::string& to) {
  std::array<char, 4096> chunk;
  const ssize_t n = ::read(fd, chunk.data(), chunk.size());
  if (n > 0) to.append(chunk.data(), static_cast<std::size_t>(n));
  return n > 0 || (n < 0 && errno == EINTR);
}

bool ready_within(int fd, short events, std::chrono::milliseconds time) {
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return ::poll(&waiting, 1, static_cast<int>(time.count())) == 1;
}

void limit_soft(pid_t pid, __rlimit_resource resource, rlim_t value) {
  rlimit limit{};
  if (::prlimit(pid, resource, nullptr, &limit) != 0) fail("prlimit");
  limit.rlim_cur = std::min(value, limit.rlim_max);
  if (::prlimit(pid, resource, &limit, nullptr) != 0) fail("prlimit");
}

std::size_t count_entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator()));
}

struct memory {
  std::size_t mapped = 0;    // bytes
  std::size_t resident = 0;  // bytes
};

memory memory_of(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  memory pages;
  statm >> pages.mapped >> pages.resident;
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return {pages.mapped * page, pages.resident * page};
}

}  // namespace

nlohmann::json exit_report::totals() const { return nlohmann::json::parse(output); }

server_process::server_process(std::vector<std::string> arguments, unsigned descriptors) {
  std::array<int, 2> out{};
  std::array<int, 2> err{};
  if (::pipe2(out.data(), O_CLOEXEC) != 0 || ::pipe2(err.data(), O_CLOEXEC) != 0) fail("pipe2");
  std::string program = ECHO_SERVER_PATH;
  std::vector<char*> argv{program.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    ::dup2(out[1], STDOUT_FILENO);
    ::dup2(err[1], STDERR_FILENO);
    const rlimit stack{.rlim_cur = stack_size, .rlim_max = stack_size};  // which is that of threads, too
    ::setrlimit(RLIMIT_STACK, &stack);
    if (descriptors > 0) {
      const rlimit limit{.rlim_cur = descriptors, .rlim_max = descriptors};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
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
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

endpoint server_process::address(std::size_t index) const {
  return resolve(listening_.at("addresses").at(index).get<std::string>());
}

std::size_t server_process::descriptors() const {
  return count_entries("/proc/" + std::to_string(pid_) + "/fd");
}
std::size_t server_process::threads() const {
  return count_entries("/proc/" + std::to_string(pid_) + "/task");
}

std::size_t server_process::resident_bytes() const { return memory_of(pid_).resident; }

std::chrono::nanoseconds server_process::cpu_wanted() const {
  auto wanted = *process_cpu_time(pid_);
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task")) {
    std::ifstream schedstat(task.path() / "schedstat");  // ns on a CPU, ns in a run queue, turns
    std::int64_t used = 0;
    std::int64_t waited = 0;
    schedstat >> used >> waited;
    wanted += std::chrono::nanoseconds(waited);
  }
  return wanted;
}

void server_process::limit_address_space(std::size_t more) const {
  limit_soft(pid_, RLIMIT_AS, memory_of(pid_).mapped + more);
}

void server_process::unlimit_address_space() const { limit_soft(pid_, RLIMIT_AS, RLIM_INFINITY); }

void server_process::signal(int number) const { ::kill(pid_, number); }

exit_report server_process::wait() {
  exit_report report{.output = std::move(buffered_)};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const auto read_all = [&](int fd, std::string& to) {
    do {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
      if (!ready_within(fd, POLLIN, std::max(left, 0ms))) signal(SIGKILL);
    } while (read_some(fd, to));
  };
  read_all(out_.get(), report.output);
  read_all(err_.get(), report.errors);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  report.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return report;
}

exit_report server_process::stop() {
  signal(SIGTERM);
  return wait();
}

nlohmann::json list_variants() {
  server_process lister({"--list=json"});
  lister.wait();
  return lister.listening();
}

client::client(const endpoint& server) : fd_(::socket(server.family(), SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval timeout{.tv_sec = patience.count(), .tv_usec = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  set_no_delay(fd_.get());
  if (::connect(fd_.get(), server.address(), server.size()) != 0) fail("connect to " + server.to_string());
}

void client::send(std::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (n < 0) fail("send");
    data.remove_prefix(static_cast<std::size_t>(n));
  }
}

bytes client::receive(std::size_t n) {
  bytes got(n, '\0');
  std::size_t have = 0;
  while (have < n) {
    const ssize_t now = ::recv(fd_.get(), got.data() + have, n - have, 0);
    if (now < 0) fail("receive, after " + std::to_string(have) + " of " + std::to_string(n) + " bytes");
    if (now == 0) break;
    have += static_cast<std::size_t>(now);
  }
  got.resize(have);
  return got;
}

bytes client::receive_to_end() {
  bytes all;
  for (;;) {
    const bytes more = receive(1);
    if (more.empty()) return all;
    all += more;
    bytes chunk(std::size_t{64} * 1024, '\0');
    const ssize_t n = ::recv(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
    if (n > 0) all.append(chunk.data(), static_cast<std::size_t>(n));
  }
}

bool client::readable_within(std::chrono::milliseconds time) const {
  return ready_within(fd_.get(), POLLIN, time);
}

bool client::writable_within(std::chrono::milliseconds time) const {
  return ready_within(fd_.get(), POLLOUT, time);
}

void client::finish() { ::shutdown(fd_.get(), SHUT_WR); }

void client::reset() {
  set_reset_on_close(fd_.get());
  fd_.reset();
}

}  // namespace echobench::testing
