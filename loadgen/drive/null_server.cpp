#include "loadgen/drive/null_server.hpp"

#include "common/process.hpp"

#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <span>
#include <vector>

namespace echobench {
namespace {

// Turns requests into replies as they pass: the reply bit of each header is all that differs.
class replying {
public:
  void turn(std::span<std::byte> bytes) noexcept {
    for (std::size_t i = 0; i < bytes.size();) {
      if (payload_ > 0) {
        const auto skipped = std::min<std::size_t>(payload_, bytes.size() - i);
        payload_ -= static_cast<std::uint32_t>(skipped);
        i += skipped;
        continue;
      }
      if (header_ < 4) length_ = length_ << 8 | std::to_integer<std::uint32_t>(bytes[i]);
      if (header_ == 6) bytes[i] |= std::byte{flag_reply};
      ++i;
      if (++header_ < frame_header_size) continue;
      payload_ = length_;
      header_ = length_ = 0;
    }
  }

private:
  std::uint32_t payload_ = 0;  // bytes that are still to come
  std::uint32_t header_ = 0;   // bytes of it that have come
  std::uint32_t length_ = 0;
};

[[noreturn]] void serve(const unique_fd& listener, framing kind) {
  const unique_fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  epoll_event accepts{.events = EPOLLIN, .data = {.fd = listener.get()}};
  ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.get(), &accepts);
  std::vector<replying> states;  // by descriptor
  std::vector<std::byte> buffer(64U << 10);
  std::array<epoll_event, 256> events;
  for (;;) {
    const int count = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener.get()) {
        const int peer = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
        if (peer < 0) continue;
        if (states.size() <= static_cast<std::size_t>(peer))
          states.resize(static_cast<std::size_t>(peer) + 1);
        states[static_cast<std::size_t>(peer)] = {};
        epoll_event reads{.events = EPOLLIN, .data = {.fd = peer}};
        ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, peer, &reads);
        continue;
      }
      const auto n = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n <= 0) {
        ::close(fd);
        continue;
      }
      const auto bytes = std::span(buffer).first(static_cast<std::size_t>(n));
      if (kind == framing::frame) states[static_cast<std::size_t>(fd)].turn(bytes);
      ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);  // blocks until all is sent
    }
  }
}

}  // namespace

null_server::null_server(framing kind, const cpu_list& cpus) {
  const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 4096, reuse_port::no);
  where_ = endpoint::local_of(listener.get());
  pid_ = fork_bound_to_parent("the null server");
  if (pid_ > 0) return;
  raise_descriptor_limit();
  if (!cpus.empty()) restrict_to_cpus(cpus);
  serve(listener, kind);
}

null_server::~null_server() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace echobench
