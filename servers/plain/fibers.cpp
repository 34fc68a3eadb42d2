// A fiber for each client waits for it, as a thread would; their one thread waits for all, in epoll_wait(2).
// Good: the blocking server's code serves any number of clients, and a switch of fibers is no system call.
// It breaks if a fiber computes for long or its client never pauses, and each fiber needs a stack of its own.
#include <boost/fiber/all.hpp>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <string>

using boost::fibers::context;

// In a fiber of its own; the loop in main() schedules it when something has happened to the socket.
void serve(int epoll, int client, std::size_t size, bool upper) {
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {.ptr = context::active()}};
  epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
  std::string buffer(size, '\0');
  for (ssize_t n = 1; n > 0;) {
    while ((n = recv(client, &buffer[0], size, 0)) < 0 && errno == EAGAIN) context::active()->suspend();
    for (ssize_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
    for (ssize_t sent = 0, m = 0; sent < n && m >= 0; sent += m)
      while ((m = send(client, &buffer[sent], n - sent, MSG_NOSIGNAL)) < 0 && errno == EAGAIN)
        context::active()->suspend();
  }
  close(client);
}

int main(int argc, char** argv) {  // plain-fibers [PORT [--upper] [--buffer N]]
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
  for (;; boost::this_fiber::yield())  // until all others wait again
    for (int i = 0, n = epoll_wait(epoll, ready, 64, -1); i < n; ++i) {
      if (void* const waiting = ready[i].data.ptr) {
        context::active()->schedule(static_cast<context*>(waiting));
      } else if (const int client = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); client < 0) {
        perror("accept"), usleep(100'000);  // the reason may last: do not spin
      } else {
        boost::fibers::fiber(serve, epoll, client, size, upper).detach();
      }
    }
}
