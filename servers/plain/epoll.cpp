// One thread waits for all clients, in epoll_wait(2), which remembers them and reports those that are ready.
// Good: one thread needs no lock, a client costs a few bytes, and waiting for 10,000 is waiting for ten.
// It breaks if one request takes long, for all others wait, and what was a loop becomes a state to keep.
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <string>
#include <unordered_map>

// Receives if all has been sent, then sends; returns what to wait for next, 0 when the connection is over.
uint32_t serve(int client, std::string& unsent, std::string& buffer, bool upper) {
  if (unsent.empty()) {
    const ssize_t n = recv(client, &buffer[0], buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return EPOLLIN;
    if (n <= 0) return 0;
    for (ssize_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
    unsent.assign(buffer, 0, n);
  }
  const ssize_t n = send(client, &unsent[0], unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return 0;
  unsent.erase(0, n < 0 ? 0 : n);
  return unsent.empty() ? EPOLLIN : EPOLLOUT;
}

int main(int argc, char** argv) {  // plain-epoll [PORT [--upper] [--buffer N]]
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

  std::unordered_map<int, std::string> unsent;  // by client: what the system has not taken yet
  std::string buffer(size, '\0');
  epoll_event event{.events = EPOLLIN, .data = {.fd = listener}}, ready[64];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  for (;;) {
    for (int i = 0, n = epoll_wait(epoll, ready, 64, -1); i < n; ++i) {
      const bool comes = ready[i].data.fd == listener;
      const int client = comes ? accept(listener, nullptr, nullptr) : ready[i].data.fd;
      if (client < 0) perror("accept"), usleep(100'000);  // the reason may last: do not spin
      event = {.events = serve(client, unsent[client], buffer, upper), .data = {.fd = client}};
      if (event.events == 0) {
        unsent.erase(client);
        close(client);
      } else if (comes || (event.events & ready[i].events) == 0) {
        epoll_ctl(epoll, comes ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, client, &event);
      }
    }
  }
}
