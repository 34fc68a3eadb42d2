// One thread waits for all clients, in epoll_wait(2), and resumes the coroutine of one whose socket is ready.
// Good: it reads like the blocking server, and a client's state is local variables in a frame on the heap.
// It breaks if a coroutine computes for long or its client never pauses, because all others stand still.
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <coroutine>
#include <string>

struct task : std::coroutine_handle<> {  // what a coroutine returns
  struct promise_type {
    task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
};

task serve(int client, std::size_t size, bool upper, std::suspend_always ready = {}) {
  std::string buffer(size, '\0');
  for (ssize_t n = 1; n > 0;) {
    while ((n = recv(client, &buffer[0], size, 0)) < 0 && errno == EAGAIN) co_await ready;
    for (ssize_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
    for (ssize_t sent = 0, m = 0; sent < n && m >= 0; sent += m)
      while ((m = send(client, &buffer[sent], n - sent, MSG_NOSIGNAL)) < 0 && errno == EAGAIN) co_await ready;
  }
  close(client);
}

int main(int argc, char** argv) {  // plain-coroutines [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections inherit it
  sockaddr_in address{AF_INET, htons(static_cast<in_port_t>(port)), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof address;
  if (bind(listener, (sockaddr*)&address, length) || listen(listener, SOMAXCONN)) return perror("listen"), 1;
  getsockname(listener, (sockaddr*)&address, &length);
  dprintf(1, "{\"event\":\"listening\",\"addresses\":[\"127.0.0.1:%d\"]}\n", ntohs(address.sin_port));
  epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}}, ready[64];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;)
    for (int i = 0, n = epoll_wait(epoll, ready, 64, -1); i < n; ++i) {
      if (void* const waiting = ready[i].data.ptr) {
        task::from_address(waiting).resume();
      } else if (const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); client < 0) {
        perror("accept"), usleep(100'000);  // the reason may last: do not spin
      } else {
        event = {EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = serve(client, size, upper).address()}};
        epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);  // refused if it has ended, and closed the socket
      }
    }
}
