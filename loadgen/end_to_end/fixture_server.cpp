#include "loadgen/end_to_end/fixture_server.hpp"

#include "common/frame.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace echobench {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

message fixture_server::connection::read_some(std::size_t most) {
  message bytes(most);
  const auto n = ::recv(fd_, bytes.data(), bytes.size(), 0);
  bytes.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return was_read(std::move(bytes));
}

message fixture_server::connection::read_frame() {
  message frame(frame_header_size);
  if (::recv(fd_, frame.data(), frame.size(), MSG_WAITALL) != static_cast<ssize_t>(frame.size())) return {};
  const auto length = decode_header(std::span(frame).first<frame_header_size>()).length;
  frame.resize(frame_header_size + length);
  if (length > 0 &&
      ::recv(fd_, &frame[frame_header_size], length, MSG_WAITALL) != static_cast<ssize_t>(length)) {
    return {};
  }
  return was_read(std::move(frame));
}

message fixture_server::connection::was_read(message bytes) const {
  if (asked_ != nullptr && !bytes.empty() && !asked_->exchange(true)) asked_->notify_all();
  return bytes;
}

bool fixture_server::connection::write(const message& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const auto n = ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

fixture_server::fixture_server(behaviour serve, const std::string& address, std::uint16_t port)
    : serve_(std::move(serve)),
      listener_(listen_on(resolve(address, port), 4096, reuse_port::no)),
      where_(endpoint::local_of(listener_.get())) {
  set_blocking(listener_.get(), true);
  acceptor_ = std::jthread([this] { accept_all(); });
}

fixture_server::~fixture_server() {
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
  }
  threads_.clear();
}

void fixture_server::accept_all() {
  for (std::size_t number = 0;; ++number) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const std::lock_guard lock(mutex_);
    open_.push_back(fd);
    threads_.emplace_back([this, fd, number] {
      connection conn(fd, number, &asked_);
      serve_(conn);
      const std::lock_guard closing(mutex_);
      std::erase(open_, fd);
      ::close(fd);
      left_.notify_all();
    });
  }
}

void fixture_server::wait_until_left() {
  std::unique_lock lock(mutex_);
  left_.wait(lock, [this] { return open_.empty(); });
}

unserved_address::unserved_address() : bound_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const endpoint any = resolve("127.0.0.1", 0);
  if (::bind(bound_.get(), any.address(), any.size()) != 0)
    throw std::system_error(errno, std::system_category(), "bind");
}

message frame_reply(message request) {
  const auto wire = std::span(request).first<frame_header_size>();
  const auto header = decode_header(wire);
  encode_header(reply_to(header, frame_status::ok), wire);
  if (header.op == frame_op::upper) to_upper_ascii(std::span(request).subspan(frame_header_size));
  return request;
}

namespace behaviours {

void echo_frames(fixture_server::connection& peer) {
  for (message frame = peer.read_frame(); !frame.empty(); frame = peer.read_frame()) {
    if (!peer.write(frame_reply(std::move(frame)))) return;
  }
}

void echo_bytes(fixture_server::connection& peer) {
  for (message bytes = peer.read_some(); !bytes.empty(); bytes = peer.read_some()) {
    if (!peer.write(bytes)) return;
  }
}

void close_at_once(fixture_server::connection&) {}

void never_answer(fixture_server::connection& peer) {
  while (!peer.read_some().empty()) {
  }
}

void greet(fixture_server::connection& peer) {
  constexpr std::string_view greeting = "220 mail.example.org is ready\r\n";
  const auto bytes = std::as_bytes(std::span(greeting));
  if (peer.write(message(bytes.begin(), bytes.end()))) never_answer(peer);
}

fixture_server::behaviour tamper(tampering with) {
  return [with = std::move(with)](fixture_server::connection& peer) {
    for (std::size_t number = 0;; ++number) {
      message frame = peer.read_frame();
      if (frame.empty()) return;
      const message reply = with(peer.number(), number, frame_reply(std::move(frame)));
      if (reply.empty() || !peer.write(reply)) return;
    }
  };
}

fixture_server::behaviour answering_after(std::chrono::nanoseconds time) {
  return tamper([time](std::size_t, std::size_t, message reply) {
    std::this_thread::sleep_for(time);
    return reply;
  });
}

fixture_server::behaviour stalling(nanoseconds stall, nanoseconds period) {
  // The first stall meets the first request, however long connecting has taken.
  auto start = std::make_shared<std::optional<std::chrono::steady_clock::time_point>>();
  auto once = std::make_shared<std::once_flag>();
  return tamper([=](std::size_t, std::size_t, message reply) {
    std::call_once(*once, [&] { *start = std::chrono::steady_clock::now(); });
    const nanoseconds phase = (std::chrono::steady_clock::now() - **start) % period;
    if (phase < stall) std::this_thread::sleep_for(stall - phase);
    return reply;
  });
}

void read_slowly(fixture_server::connection& peer) {
  for (message bytes = peer.read_some(10'000); !bytes.empty(); bytes = peer.read_some(10'000)) {
    if (!peer.write(bytes)) return;
    std::this_thread::sleep_for(50us);
  }
}

fixture_server::behaviour swapping() {
  struct exchange {
    std::mutex mutex;
    std::condition_variable changed;
    std::array<message, 2> held;
  };
  auto shared = std::make_shared<exchange>();
  return [shared](fixture_server::connection& peer) {
    const std::size_t side = peer.number() % 2;
    message frame = peer.read_frame();
    if (frame.empty()) return;
    std::unique_lock lock(shared->mutex);
    shared->held[side] = frame_reply(std::move(frame));
    shared->changed.notify_all();
    const bool both = shared->changed.wait_for(lock, 5s, [&] { return !shared->held[1 - side].empty(); });
    const message other = shared->held[1 - side];
    lock.unlock();
    if (both) peer.write(other);
    never_answer(peer);
  };
}

}  // namespace behaviours
}  // namespace echobench
