// Two threads wait for all clients together, in epoll_wait(2), and the one that is free serves who is ready.
// Good: two stacks serve any number of clients, and while one thread computes or blocks, another goes on.
// It breaks when as many clients as there are threads do not read their replies: then nobody is served.
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <string>
#include <thread>

// Receives once and sends all of that; false when the connection is over.
bool serve(int client, std::string& buffer, bool upper) {
  const ssize_t n = recv(client, &buffer[0], buffer.size(), 0);
  for (ssize_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
  ssize_t m = n;
  for (ssize_t sent = 0; sent < n && m > 0; sent += m)
    m = send(client, &buffer[sent], n - sent, MSG_NOSIGNAL);
  return m > 0;
}

int main(int argc, char** argv) {  // plain-thread-pool [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  const int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections inherit it
  sockaddr_in address{AF_INET, htons(static_cast<in_port_t>(port)), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof address;
  if (bind(listener, (sockaddr*)&address, length) || listen(listener, SOMAXCONN)) return perror("listen"), 1;
  getsockname(listener, (sockaddr*)&address, &length);
  dprintf(1, "{\"event\":\"listening\",\"addresses\":[\"127.0.0.1:%d\"]}\n", ntohs(address.sin_port));

  const auto work = [=] {
    std::string buffer(size, '\0');
    for (epoll_event event;;) {
      if (epoll_wait(epoll, &event, 1, -1) != 1) continue;  // EINTR, after SIGCONT
      const bool lasts = serve(event.data.fd, buffer, upper);
      event.events = EPOLLIN | EPOLLONESHOT;  // a client is one thread's, until that re-arms it
      lasts ? epoll_ctl(epoll, EPOLL_CTL_MOD, event.data.fd, &event) : close(event.data.fd);
    }
  };
  for (int i = 0; i < 2; ++i) std::thread(work).detach();

  for (;;) {
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) perror("accept"), usleep(100'000);  // the reason may last: do not spin
    epoll_event event{.events = EPOLLIN | EPOLLONESHOT, .data = {.fd = client}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event);
  }
}
