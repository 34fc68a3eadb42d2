// echo-scheduled-server: answers each request at a time that was fixed in advance, and reports at its end how
// long requests really took here: the truth that a load generator's percentiles can be compared with. With
// --log it is also an observer of the client: when each request arrived, by the kernel.
//
// A request's time begins when the kernel has received its last byte, so that it does not matter when this
// process came to read it, and ends just before its reply is sent: waking up late is part of the truth.
// Replies of one connection stay in order. One thread, which sleeps when nothing is due: where a hypervisor
// divides fewer CPUs than it shows, a server that polls takes them from the client.
#include "common/cli.hpp"
#include "common/frame.hpp"
#include "common/process.hpp"
#include "common/socket.hpp"
#include "common/timespec.hpp"
#include "loadgen/accuracy/arrival_log.hpp"
#include "loadgen/accuracy/arrival_stamps.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <queue>
#include <random>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
using std::chrono::nanoseconds;

// Reading has precedence: two requests that are read together have one time of arrival. So many connections
// are read before so many replies are sent.
constexpr std::size_t reads_at_a_time = 64;
constexpr std::size_t replies_at_a_time = 16;

enum class schedule { none, constant, bimodal, stalls };

struct settings {
  schedule kind = schedule::constant;
  std::uint64_t seed = 1;
  cpu_list cpus;
  std::string log_file;
  std::size_t log_limit = 4'000'000;
};

// How long a request that arrived at a time is to take.
class delays {
public:
  delays(schedule kind, std::uint64_t seed) : kind_(kind), random_(seed), start_(clock::now()) {}

  nanoseconds of(time_point arrived) {
    switch (kind_) {
      case schedule::none: break;
      case schedule::constant: return 1ms;
      case schedule::bimodal: return random_() % 100 == 0 ? 10ms : 200us;
      case schedule::stalls: {  // nothing is answered in the first 50 ms of each second
        const nanoseconds phase = (arrived - start_) % 1s;
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
  time_point arrived;
  std::uint64_t number = 0;  // replies that are due at once go in the order of their requests
  int fd = -1;
  std::uint32_t connection = 0;  // of the descriptor, which may have become another's meanwhile
  std::size_t logged = arrival_log::not_kept;
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
  server(const settings& chosen, int signals)
      : listener_(listen_on(resolve("127.0.0.1", 0), 4096, reuse_port::no)),
        poll_(::epoll_create1(EPOLL_CLOEXEC)),
        signals_(signals),
        delays_(chosen.kind, chosen.seed),
        stamps_(listener_.get()),
        log_(chosen.log_file.empty() ? 0 : chosen.log_limit),
        buffer_(64U << 10) {
    watch(listener_.get());
    watch(signals_);
  }

  std::string address() const { return endpoint::local_of(listener_.get()).to_string(); }
  const arrival_log& log() const noexcept { return log_; }

  // Until a signal comes. Returns how long each request took, sorted.
  std::vector<nanoseconds> run() {
    std::array<epoll_event, reads_at_a_time> events;
    for (;;) {
      const auto timeout = to_timespec(queue_.empty() ? 0ns : queue_.top().due - clock::now());
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
      }
      answer();
    }
  }

private:
  struct connection {
    unique_fd fd;
    std::uint32_t number = 0;  // in the order of accepting
    std::vector<std::byte> partial;
    time_point last_due;
  };

  void watch(int fd) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) throw_errno("epoll_ctl");
  }

  void accept() {
    endpoint peer;
    socklen_t size = endpoint::capacity();
    unique_fd fd(::accept4(listener_.get(), peer.address(), &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) return;
    watch(fd.get());
    const auto index = static_cast<std::size_t>(fd.get());
    if (connections_.size() <= index) connections_.resize(index + 1);
    connections_[index] = {
        .fd = std::move(fd), .number = log_.add_connection(peer.to_string()), .partial = {}, .last_due = {}};
  }

  void receive(int fd) {
    connection& from = connections_[static_cast<std::size_t>(fd)];
    if (!from.fd) return;
    std::optional<time_point> stamp;
    const ssize_t n = stamps_.receive(fd, buffer_, stamp);
    if (n <= 0) {
      if (n == 0 || errno != EAGAIN) from.fd.reset();
      return;
    }
    const auto now = clock::now();
    std::vector<std::byte>& partial = from.partial;
    partial.insert(partial.end(), buffer_.begin(), buffer_.begin() + n);
    const auto rest = take_requests(from, partial, stamp, now);
    partial.erase(partial.begin(), partial.end() - std::ssize(rest));
  }

  // Takes the requests that have arrived as a whole; returns what is left.
  std::span<const std::byte> take_requests(connection& from, std::span<const std::byte> bytes,
                                           std::optional<time_point> stamp, time_point now) {
    const time_point arrived = stamp.value_or(now);
    while (bytes.size() >= frame_header_size) {
      const auto header = decode_header(bytes.first<frame_header_size>());
      if (header.length > default_max_frame) {
        from.fd.reset();
        return {};
      }
      const std::size_t size = frame_header_size + header.length;
      if (bytes.size() < size) break;
      const auto request = bytes.first(size);
      bytes = bytes.subspan(size);
      const auto exactness = !stamp          ? arrival_stamp::absent
                             : bytes.empty() ? arrival_stamp::exact
                                             : arrival_stamp::shared;
      reply next{.due = std::max(arrived + delays_.of(arrived), from.last_due),
                 .arrived = arrived,
                 .number = number_++,
                 .fd = from.fd.get(),
                 .connection = from.number,
                 .logged = log_.add({.connection = from.number,
                                     .sequence = header.sequence,
                                     .arrived = arrived,
                                     .read = now,
                                     .replied = {},
                                     .stamp = exactness}),
                 .bytes = {request.begin(), request.end()}};
      encode_header(reply_to(header, frame_status::ok), std::span(next.bytes).first<frame_header_size>());
      from.last_due = next.due;
      queue_.push(std::move(next));
    }
    return bytes;
  }

  void answer() {
    for (std::size_t i = 0; i < replies_at_a_time && !queue_.empty(); ++i) {
      const auto now = clock::now();
      const reply& next = queue_.top();
      if (next.due > now) return;
      connection& to = connections_[static_cast<std::size_t>(next.fd)];
      if (to.fd && to.number == next.connection) send(next, to, now);
      queue_.pop();
    }
  }

  // A client that does not read is disconnected: it would be wrong to wait, or to leave a reply out.
  void send(const reply& next, connection& to, time_point now) {
    const auto n = ::send(next.fd, next.bytes.data(), next.bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < static_cast<ssize_t>(next.bytes.size())) return to.fd.reset();
    took_.push_back(now - next.arrived);
    log_.replied(next.logged, now);
  }

  unique_fd listener_;
  unique_fd poll_;
  int signals_;
  delays delays_;
  arrival_stamps stamps_;
  arrival_log log_;
  std::vector<std::byte> buffer_;
  std::vector<connection> connections_;  // by descriptor
  std::priority_queue<reply> queue_;
  std::uint64_t number_ = 0;
  std::vector<nanoseconds> took_;
};

// Of sorted times: the one that `percent` of them do not exceed.
nanoseconds percentile(std::span<const nanoseconds> sorted, double percent) {
  const auto rank = std::ceil(static_cast<double>(sorted.size()) * percent / 100);
  return sorted[std::max<std::size_t>(static_cast<std::size_t>(rank), 1) - 1];
}

void report(const std::vector<nanoseconds>& took, const arrival_log& log) {
  std::string truth;
  if (!took.empty()) {
    for (const double percent : {50.0, 90.0, 99.0, 99.9}) {
      truth += fmt::format(R"(, "p{:g}": {})", percent, percentile(took, percent).count());
    }
  }
  print_output(fmt::format(
      R"({{"event": "stopped", "requests": {}, "took_ns": {{"count": {}{}}}, "logged": {}, "not_logged": {}}})"
      "\n",
      took.size(), took.size(), truth, log.kept(), log.left_out()));
}

void add_options(CLI::App& app, settings& chosen) {
  cli::add_choice(app, "--schedule", chosen.kind,
                  {{"none", schedule::none},
                   {"constant", schedule::constant},
                   {"bimodal", schedule::bimodal},
                   {"stalls", schedule::stalls}},
                  "At once; after 1ms; after 200us, 1 % after 10ms; after 200us, nothing in the first 50ms "
                  "of each second");
  cli::add_count(app, "--seed", chosen.seed, "Which requests are among the 1 %");
  cli::add_cpus(app, "--cpus", chosen.cpus, "Run only on these CPUs");
  app.add_option(
         "--log", chosen.log_file,
         std::string("At the end write CSV with a line for each request: ") + arrival_log::columns +
             ". connection counts in the order of accepting; sequence is the header's; times are ns of "
             "CLOCK_MONOTONIC: arrived_ns by the kernel, replied_ns just before the reply was sent (0: "
             "none was). stamp says what arrived_ns is: exact; shared, the arrival of later bytes that "
             "were read with the request; absent, the kernel gave no time and it is read_ns")
      ->type_name("FILE");
  cli::add_count(app, "--log-limit", chosen.log_limit,
                 "Requests in the log, which takes 40 bytes of memory for each; later ones are answered, and "
                 "counted as not_logged",
                 1, 100'000'000);
}

int run(int argc, char** argv) {
  CLI::App app("Answers frames at times fixed in advance, and reports how long they took",
               "echo-scheduled-server");
  settings chosen;
  add_options(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli::report(app, error);
  }
  static_assert(sizeof(observed_request) == 40, "--help says how much memory a request takes");
  if (!chosen.cpus.empty()) restrict_to_cpus(chosen.cpus);
  raise_descriptor_limit();
  ::prctl(PR_SET_TIMERSLACK, 1);  // ns
  const sigset_t stop = block_stop_signals();
  const unique_fd signals(::signalfd(-1, &stop, SFD_CLOEXEC));
  server serving(chosen, signals.get());
  print_output(fmt::format(R"({{"event": "listening", "addresses": ["{}"], "loops": 1}})"
                           "\n",
                           serving.address()));
  report(serving.run(), serving.log());
  if (!chosen.log_file.empty()) serving.log().write(chosen.log_file);
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
