// echo-scheduled-server: answers each request at a time that was fixed in advance, and tells at its end how
// long requests really took here: the truth that a load generator's percentiles can be held against.
//
// A request's time begins when the kernel has received its last byte (SO_TIMESTAMPNS), so that it does not
// matter when this process came to read it, and ends just before its reply is sent: waking up late is part of
// the truth. Replies of one connection stay in order. One thread, which sleeps when nothing is due: where a
// hypervisor divides fewer CPUs than it shows, a server that polls takes them from the client.
#include "common/cli.hpp"
#include "common/frame.hpp"
#include "common/process.hpp"
#include "common/socket.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <ctime>
#include <map>
#include <queue>
#include <random>
#include <span>
#include <system_error>
#include <tuple>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::system_clock;  // that of the kernel's timestamps
using time_point = std::chrono::time_point<clock, std::chrono::nanoseconds>;
using std::chrono::nanoseconds;

enum class schedule { none, constant, bimodal, stalls };

// How long a request that came at a time is to take.
class delays {
public:
  delays(schedule kind, std::uint64_t seed) : kind_(kind), random_(seed), start_(clock::now()) {}

  nanoseconds of(time_point came) {
    switch (kind_) {
      case schedule::none: break;
      case schedule::constant: return 1ms;
      case schedule::bimodal: return random_() % 100 == 0 ? 10ms : 200us;
      case schedule::stalls: {  // nothing is answered in the first 50 ms of each second
        const nanoseconds phase = (came - start_) % 1s;
        return std::max<nanoseconds>(200us, 50ms - phase);
      }
    }
    return 0ns;
  }

private:
  schedule kind_;
  std::mt19937_64 random_;
  time_point start_;
};

struct reply {
  time_point due;
  time_point came;
  std::uint64_t number;  // replies that are due at once go in the order of their requests
  int fd;
  std::vector<std::byte> bytes;
  bool operator<(const reply& other) const noexcept {
    return std::tie(due, number) > std::tie(other.due, other.number);  // the first on top of the queue
  }
};

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::system_category(), what);
}

class server {
public:
  server(schedule kind, std::uint64_t seed, int signals)
      : listener_(listen_on(resolve("127.0.0.1", 0), 4096, reuse_port::no)),
        poll_(::epoll_create1(EPOLL_CLOEXEC)),
        signals_(signals),
        delays_(kind, seed) {
    watch(listener_.get());
    watch(signals_);
  }

  std::string address() const { return endpoint::local_of(listener_.get()).to_string(); }

  // Until a signal comes. Returns how long each request took, sorted.
  std::vector<nanoseconds> run() {
    std::array<epoll_event, 64> events;
    for (;;) {
      const auto timeout = patience();
      const int n = ::epoll_pwait2(poll_.get(), events.data(), static_cast<int>(events.size()),
                                   queue_.empty() ? nullptr : &timeout, nullptr);
      for (const auto& event : std::span(events).first(static_cast<std::size_t>(std::max(n, 0)))) {
        if (event.data.fd == signals_) {
          std::ranges::sort(took_);
          return std::move(took_);
        }
        if (event.data.fd == listener_.get()) {
          accept();
        } else {
          receive(event.data.fd);
        }
        answer();
      }
      answer();
    }
  }

private:
  struct connection {
    unique_fd fd;
    std::vector<std::byte> input;
    time_point last_due;
  };

  void watch(int fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl");
  }

  timespec patience() const {
    if (queue_.empty()) return {};
    const auto left = std::max<nanoseconds>(queue_.top().due - clock::now(), 0ns);
    return {.tv_sec = left / 1s, .tv_nsec = (left % 1s).count()};
  }

  void accept() {
    unique_fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    set_no_delay(fd.get());
    const int yes = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes) != 0)
      throw_errno("SO_TIMESTAMPNS");
    watch(fd.get());
    const int number = fd.get();
    connections_[number] = {.fd = std::move(fd), .input = {}, .last_due = {}};
  }

  void receive(int fd) {
    auto& from = connections_.at(fd);
    std::array<std::byte, 64U << 10> buffer;
    alignas(cmsghdr) std::array<std::byte, 128> control;
    iovec where{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message{};
    message.msg_iov = &where;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(fd, &message, MSG_DONTWAIT);
    if (n <= 0) {
      if (n == 0 || errno != EAGAIN) connections_.erase(fd);
      return;
    }
    from.input.insert(from.input.end(), buffer.begin(), buffer.begin() + n);
    const time_point came = time_of(message);
    while (from.input.size() >= frame_header_size) {
      const auto header = decode_header(std::span(from.input).first<frame_header_size>());
      const std::size_t size = frame_header_size + header.length;
      if (from.input.size() < size) return;
      const auto end = from.input.begin() + static_cast<std::ptrdiff_t>(size);
      reply next{
          std::max(came + delays_.of(came), from.last_due), came, number_++, fd, {from.input.begin(), end}};
      encode_header(reply_to(header, frame_status::ok), std::span(next.bytes).first<frame_header_size>());
      from.last_due = next.due;
      from.input.erase(from.input.begin(), end);
      queue_.push(std::move(next));
    }
  }

  static time_point time_of(msghdr& message) {
    for (cmsghdr* each = CMSG_FIRSTHDR(&message); each != nullptr; each = CMSG_NXTHDR(&message, each)) {
      if (each->cmsg_level != SOL_SOCKET || each->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec time;
      std::memcpy(&time, CMSG_DATA(each), sizeof time);
      return time_point(std::chrono::seconds(time.tv_sec) + nanoseconds(time.tv_nsec));
    }
    return clock::now();  // the first bytes of a connection may have come before it was accepted
  }

  void answer() {
    for (time_point now = clock::now(); !queue_.empty() && queue_.top().due <= now; now = clock::now()) {
      const reply& next = queue_.top();
      // A client that has gone, or does not read, gets none: it would be wrong to wait.
      if (::send(next.fd, next.bytes.data(), next.bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        took_.push_back(now - next.came);
      }
      queue_.pop();
    }
  }

  unique_fd listener_;
  unique_fd poll_;
  int signals_;
  delays delays_;
  std::map<int, connection> connections_;
  std::priority_queue<reply> queue_;
  std::uint64_t number_ = 0;
  std::vector<nanoseconds> took_;
};

// Of sorted times: the one that `percent` of them do not exceed.
nanoseconds percentile(std::span<const nanoseconds> sorted, double percent) {
  const auto rank = std::ceil(static_cast<double>(sorted.size()) * percent / 100);
  return sorted[std::max<std::size_t>(static_cast<std::size_t>(rank), 1) - 1];
}

void tell(const std::vector<nanoseconds>& took) {
  std::string truth;
  if (!took.empty()) {
    for (const double percent : {50.0, 90.0, 99.0, 99.9}) {
      truth += fmt::format(R"(, "p{:g}": {})", percent, percentile(took, percent).count());
    }
  }
  print_output(fmt::format(R"({{"event": "stopped", "requests": {}, "took_ns": {{"count": {}{}}}}})"
                           "\n",
                           took.size(), took.size(), truth));
}

int run(int argc, char** argv) {
  CLI::App app("Answers frames at times fixed in advance, and tells how long they took",
               "echo-scheduled-server");
  auto kind = schedule::constant;
  std::uint64_t seed = 1;
  cpu_list cpus;
  cli::add_choice(app, "--schedule", kind,
                  {{"none", schedule::none},
                   {"constant", schedule::constant},
                   {"bimodal", schedule::bimodal},
                   {"stalls", schedule::stalls}},
                  "At once; after 1ms; after 200us, 1 % after 10ms; after 200us, nothing in the first 50ms "
                  "of each second");
  cli::add_count(app, "--seed", seed, "Which requests are among the 1 %");
  cli::add_cpus(app, "--cpus", cpus, "Run only on these CPUs");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli::report(app, error);
  }
  if (!cpus.empty()) restrict_to_cpus(cpus);
  raise_descriptor_limit();
  ::prctl(PR_SET_TIMERSLACK, 1);  // ns
  const sigset_t stop = block_stop_signals();
  const unique_fd signals(::signalfd(-1, &stop, SFD_CLOEXEC));
  server serving(kind, seed, signals.get());
  print_output(fmt::format(R"({{"event": "listening", "addresses": ["{}"], "loops": 1}})"
                           "\n",
                           serving.address()));
  tell(serving.run());
  return exit_ok;
}

}  // namespace
}  // namespace echobench

int main(int argc, char** argv) try {
  echobench::open_standard_streams();
  return echobench::run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "echo-scheduled-server: %s\n", error.what());
  return echobench::exit_failed;
}
