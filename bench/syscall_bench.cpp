// What do a loop's system calls cost? One iteration is what the row is named after: a system call, a message
// of 64 bytes sent and received, a wait for events, a connection opened and closed; in the Echo rows a
// message received and answered.
#include "bench/support.hpp"
#include "common/process.hpp"
#include "common/socket.hpp"

#include <liburing.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace echobench::bench {
namespace {

// The floor: into the kernel and back, without doing anything.
void BM_Syscall_Null(benchmark::State& state) {
  const auto parent = ::getppid();
  bool same = true;
  for (auto _ : state) same = same && ::syscall(SYS_getppid) == parent;
  check(state, same, "another parent");
}

// ---- messages ----

using message = std::array<char, 64>;

// Every message differs from the one before.
message numbered(std::uint64_t number) {
  message made;
  made.fill('m');
  std::memcpy(made.data(), &number, sizeof number);
  return made;
}

struct socket_pair {
  unique_fd near, far;
};

[[noreturn]] void fail(const char* what, int error = errno) {
  throw std::system_error(error, std::system_category(), what);
}

socket_pair unix_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) fail("socketpair");
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

// On the loopback interface the connection is established when connect(2) returns.
unique_fd accept_from(int listener) {
  pollfd waiting{.fd = listener, .events = POLLIN, .revents = 0};
  int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0 && ::poll(&waiting, 1, 1'000) == 1) fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  return unique_fd(fd);
}

socket_pair tcp_pair() {
  const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
  unique_fd near = start_connect(endpoint::local_of(listener.get()), nullptr);
  unique_fd far = accept_from(listener.get());
  if (!near || !far) fail("connect");
  set_blocking(near.get(), true);
  for (const int end : {near.get(), far.get()}) {
    set_reset_on_close(end);
  }
  return {std::move(near), std::move(far)};
}

struct send_and_recv {
  static ssize_t send(int fd, message& bytes) { return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  static ssize_t recv(int fd, message& bytes) { return ::recv(fd, bytes.data(), bytes.size(), 0); }
};

// As a header and a payload in separate buffers.
struct sendmsg_and_readv {
  static std::array<iovec, 2> parts(message& bytes) {
    return {{{bytes.data(), 16}, {bytes.data() + 16, bytes.size() - 16}}};
  }
  static ssize_t send(int fd, message& bytes) {
    auto gathered = parts(bytes);
    msghdr header{};
    header.msg_iov = gathered.data();
    header.msg_iovlen = gathered.size();
    return ::sendmsg(fd, &header, MSG_NOSIGNAL);
  }
  static ssize_t recv(int fd, message& bytes) {
    const auto scattered = parts(bytes);
    return ::readv(fd, scattered.data(), scattered.size());
  }
};

template <socket_pair (*Make)(), class Calls>
void message_there(benchmark::State& state) {
  const socket_pair ends = Make();
  message sent{};
  message received{};
  std::uint64_t number = 0;
  bool same = true;
  for (auto _ : state) {
    sent = numbered(++number);
    same = same && Calls::send(ends.near.get(), sent) == std::ssize(sent) &&
           Calls::recv(ends.far.get(), received) == std::ssize(received) && received == sent;
  }
  check(state, same, "received something else");
}

// ---- asking which are ready ----

void BM_Syscall_EpollWait(benchmark::State& state) {
  const auto ready = state.range(0);
  const auto of = state.range(1);
  if (raise_descriptor_limit() < static_cast<std::uint64_t>(of) + 100) {
    return unavailable(state, "too few descriptors");
  }
  const unique_fd poll(::epoll_create1(EPOLL_CLOEXEC));
  std::vector<unique_fd> registered;
  for (std::int64_t i = 0; i < of; ++i) {
    // `ready` of them are readable all the time, spread evenly among the others.
    const bool readable = (i + 1) * ready / of != i * ready / of;
    registered.emplace_back(::eventfd(readable ? 1 : 0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event interest{.events = EPOLLIN, .data = {.fd = registered.back().get()}};
    if (::epoll_ctl(poll.get(), EPOLL_CTL_ADD, registered.back().get(), &interest) != 0) fail("epoll_ctl");
  }
  std::array<epoll_event, 256> events{};
  bool right = true;
  for (auto _ : state) {
    right = right && ::epoll_wait(poll.get(), events.data(), static_cast<int>(events.size()), 0) == ready;
  }
  check(state, right, "another number was ready");
}

void BM_Syscall_EpollModify(benchmark::State& state) {
  const unique_fd poll(::epoll_create1(EPOLL_CLOEXEC));
  const unique_fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event interest{.events = EPOLLIN | EPOLLONESHOT, .data = {.fd = event.get()}};
  bool right = ::epoll_ctl(poll.get(), EPOLL_CTL_ADD, event.get(), &interest) == 0;
  for (auto _ : state) right = right && ::epoll_ctl(poll.get(), EPOLL_CTL_MOD, event.get(), &interest) == 0;
  check(state, right, "epoll_ctl failed");
}

void BM_Syscall_Eventfd(benchmark::State& state) {
  const unique_fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  eventfd_t value = 0;
  bool right = true;
  for (auto _ : state) {
    right = right && ::eventfd_write(event.get(), 1) == 0 && ::eventfd_read(event.get(), &value) == 0 &&
            value == 1;
  }
  check(state, right, "the count was lost");
}

// Reset on close, so that no port stays in use (TIME_WAIT).
void BM_Syscall_TcpConnection(benchmark::State& state) {
  const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 16, reuse_port::no);
  const endpoint where = endpoint::local_of(listener.get());
  for (auto _ : state) {
    unique_fd near = start_connect(where, nullptr);
    const unique_fd far = accept_from(listener.get());
    if (!near || !far || take_socket_error(near.get()) != 0) return wrong(state, "no connection");
    set_reset_on_close(near.get());
    near.reset();
  }
}

// ---- io_uring ----

class uring {
public:
  uring(unsigned entries, unsigned flags) {
    if (const int error = -::io_uring_queue_init(entries, &ring_, flags); error != 0) {
      fail("io_uring_queue_init", error);
    }
  }
  uring(const uring&) = delete;
  uring& operator=(const uring&) = delete;
  ~uring() { ::io_uring_queue_exit(&ring_); }

  io_uring_sqe& next() {
    io_uring_sqe* const entry = ::io_uring_get_sqe(&ring_);
    if (entry == nullptr) fail("io_uring_get_sqe", EBUSY);
    return *entry;
  }
  void submit() {
    if (const int n = ::io_uring_submit(&ring_); n < 0) fail("io_uring_submit", -n);
  }
  // Submits, and waits until `n` are complete or a second has passed.
  bool submit_and_wait(unsigned n) {
    __kernel_timespec patience{.tv_sec = 1, .tv_nsec = 0};
    io_uring_cqe* first = nullptr;
    return ::io_uring_submit_and_wait_timeout(&ring_, &first, n, &patience, nullptr) >= 0;
  }
  // Calls `handle` with each completion.
  template <class Handle>
  void reap(const Handle& handle) {
    std::array<io_uring_cqe*, 128> done{};
    while (const unsigned n = ::io_uring_peek_batch_cqe(&ring_, done.data(), done.size())) {
      for (unsigned i = 0; i < n; ++i) handle(*done[i]);
      ::io_uring_cq_advance(&ring_, n);
    }
  }

private:
  io_uring ring_{};
};

// One iteration is one of `batch` operations that one system call submits and waits for.
void BM_Syscall_UringNop(benchmark::State& state) try {
  uring ring(64, 0);
  const auto batch = static_cast<std::uint64_t>(state.range(0));
  std::uint64_t submitted = 0;
  std::uint64_t completed = 0;
  while (state.KeepRunningBatch(state.range(0))) {
    for (std::uint64_t i = 0; i < batch; ++i) {
      io_uring_sqe& entry = ring.next();
      ::io_uring_prep_nop(&entry);
      entry.user_data = submitted++;
    }
    if (!ring.submit_and_wait(static_cast<unsigned>(batch))) return wrong(state, "an operation was lost");
    ring.reap([&](const io_uring_cqe& done) {
      if (done.res == 0 && done.user_data == completed) ++completed;
    });
  }
  check(state, completed == submitted, "an operation was lost, or out of order");
} catch (const std::system_error& error) {
  unavailable(state, error.what());
}

// ---- a loop that answers messages, the same ones in every row: over socket pairs, from peers on the same
// thread ----

class echo_peers {
public:
  explicit echo_peers(std::int64_t connections) {
    for (std::int64_t i = 0; i < connections; ++i) pairs_.push_back(unix_pair());
  }

  std::size_t size() const { return pairs_.size(); }
  int served(std::size_t i) const { return pairs_[i].far.get(); }

  void ask() {
    ++round_;
    for (std::size_t i = 0; i < size(); ++i) {
      const message asked = expected(i);
      right_ = right_ &&
               ::send(pairs_[i].near.get(), asked.data(), asked.size(), MSG_NOSIGNAL) == std::ssize(asked);
    }
  }
  // Each peer takes its answer, or its question if there is no loop that answers.
  void hear(unique_fd socket_pair::*from) {
    message heard{};
    for (std::size_t i = 0; i < size(); ++i) {
      const auto n = ::recv((pairs_[i].*from).get(), heard.data(), heard.size(), MSG_DONTWAIT);
      right_ = right_ && n == std::ssize(heard) && heard == expected(i);
    }
  }
  bool right() const { return right_; }

private:
  message expected(std::size_t i) const { return numbered(round_ * size() + i); }

  std::vector<socket_pair> pairs_;
  std::uint64_t round_ = 0;
  bool right_ = true;
};

// Receives a message that has arrived, and answers.
bool answer(int fd) {
  message bytes{};
  return ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT) == std::ssize(bytes) &&
         ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == std::ssize(bytes);
}

// Knows without asking that every connection has a message: the difference to this row is the cost of epoll.
class direct_loop {
public:
  explicit direct_loop(const echo_peers& peers) : peers_(peers) {}
  bool answer_all() {
    bool all = true;
    for (std::size_t i = 0; i < peers_.size(); ++i) all = answer(peers_.served(i)) && all;
    return all;
  }

private:
  const echo_peers& peers_;
};

class epoll_loop {
public:
  explicit epoll_loop(const echo_peers& peers) : peers_(peers) {
    for (std::size_t i = 0; i < peers.size(); ++i) {
      epoll_event interest{.events = EPOLLIN, .data = {.fd = peers.served(i)}};
      if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, peers.served(i), &interest) != 0) fail("epoll_ctl");
    }
  }
  bool answer_all() {
    std::array<epoll_event, 64> events{};
    for (std::size_t answered = 0; answered < peers_.size();) {
      const int ready = ::epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), 1'000);
      if (ready <= 0) return false;
      for (std::size_t i = 0; i < static_cast<std::size_t>(ready); ++i) {
        if (!answer(events[i].data.fd)) return false;
        ++answered;
      }
    }
    return true;
  }

private:
  const echo_peers& peers_;
  unique_fd poll_{::epoll_create1(EPOLL_CLOEXEC)};
};

// Each connection has a receive pending; a received message is answered, and the next receive is submitted
// with the answer. A server would submit and wait in one call; here the peers run in between, so there are
// two.
template <unsigned Setup, std::uint16_t Receiving>
class uring_loop {
public:
  explicit uring_loop(const echo_peers& peers) : peers_(peers), buffers_(peers.size()) {
    for (std::size_t i = 0; i < peers.size(); ++i) receive(i);
    ring_.submit();
  }
  bool answer_all() {
    std::size_t answered = 0;
    bool right = true;
    while (right && answered < peers_.size()) {
      right = ring_.submit_and_wait(1);
      ring_.reap([&](const io_uring_cqe& done) {
        right = right && done.res == static_cast<int>(sizeof(message));
        const auto i = static_cast<std::size_t>(done.user_data >> 1U);
        if (!right || (done.user_data & 1U) == sent) return;
        buffers_[i].out = buffers_[i].in;
        send(i);
        receive(i);
        ++answered;
      });
    }
    ring_.submit();
    return right;
  }

private:
  enum : std::uint64_t { received = 0, sent = 1 };
  struct buffers {
    message in, out;
  };

  void receive(std::size_t i) {
    io_uring_sqe& entry = ring_.next();
    ::io_uring_prep_recv(&entry, peers_.served(i), buffers_[i].in.data(), sizeof(message), 0);
    entry.ioprio |= Receiving;
    entry.user_data = i << 1U | received;
  }
  void send(std::size_t i) {
    io_uring_sqe& entry = ring_.next();
    ::io_uring_prep_send(&entry, peers_.served(i), buffers_[i].out.data(), sizeof(message), MSG_NOSIGNAL);
    entry.user_data = i << 1U | sent;
  }

  const echo_peers& peers_;
  std::vector<buffers> buffers_;
  uring ring_{256, Setup};
};

using default_uring_loop = uring_loop<0, 0>;
// Operations complete when this thread waits and not in any system call before; and a receive is not tried at
// once, because there is nothing to receive yet.
using tuned_uring_loop =
    uring_loop<IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, IORING_RECVSEND_POLL_FIRST>;

template <class Loop>
void echo(benchmark::State& state) try {
  echo_peers peers(state.range(0));
  Loop loop(peers);
  while (state.KeepRunningBatch(state.range(0))) {
    peers.ask();
    if (!loop.answer_all()) return wrong(state, "a message was not answered");
    peers.hear(&socket_pair::near);
  }
  check(state, peers.right(), "an answer differs");
} catch (const std::system_error& error) {
  unavailable(state, error.what());
}

// The peers' share of every Echo row: what they send is received but not answered.
void BM_Syscall_EchoPeers(benchmark::State& state) {
  echo_peers peers(state.range(0));
  while (state.KeepRunningBatch(state.range(0))) {
    peers.ask();
    peers.hear(&socket_pair::far);
  }
  check(state, peers.right(), "a message differs");
}

void connections(benchmark::internal::Benchmark* row) { row->ArgName("connections")->Arg(1)->Arg(64); }

BENCHMARK(BM_Syscall_Null);
BENCHMARK(message_there<unix_pair, send_and_recv>)->Name("BM_Syscall_UnixSendRecv");
BENCHMARK(message_there<unix_pair, sendmsg_and_readv>)->Name("BM_Syscall_UnixSendmsgReadv");
// Real time for TCP: not every kernel counts what its stack does in soft interrupts as the thread's CPU time.
BENCHMARK(message_there<tcp_pair, send_and_recv>)->Name("BM_Syscall_TcpSendRecv")->Apply(threaded);
BENCHMARK(message_there<tcp_pair, sendmsg_and_readv>)->Name("BM_Syscall_TcpSendmsgReadv")->Apply(threaded);
BENCHMARK(BM_Syscall_TcpConnection)->Apply(threaded)->Iterations(2'000);
BENCHMARK(BM_Syscall_Eventfd);
BENCHMARK(BM_Syscall_EpollWait)
    ->ArgNames({"ready", "of"})
    ->Args({0, 256})
    ->ArgsProduct({{1, 16, 256}, {256, 4'096}});
BENCHMARK(BM_Syscall_EpollModify);
BENCHMARK(BM_Syscall_UringNop)->ArgName("batch")->Arg(1)->Arg(8)->Arg(64);
BENCHMARK(BM_Syscall_EchoPeers)->Apply(connections);
BENCHMARK(echo<direct_loop>)->Name("BM_Syscall_DirectEcho")->Apply(connections);
BENCHMARK(echo<epoll_loop>)->Name("BM_Syscall_EpollEcho")->Apply(connections);
BENCHMARK(echo<default_uring_loop>)->Name("BM_Syscall_UringEcho")->Apply(connections);
BENCHMARK(echo<tuned_uring_loop>)->Name("BM_Syscall_UringTunedEcho")->Apply(connections);

}  // namespace
}  // namespace echobench::bench
