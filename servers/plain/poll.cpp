// One thread waits for all clients, in poll(2), which it gives the list of all of them each time.
// Good: one thread needs no lock, every system has it, and what is waited for stands in plain sight.
// It breaks with many clients, all of whom are looked at each time, and if one request takes long.
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include <string>
#include <unordered_map>
#include <vector>

// Receives if all has been sent, then sends; returns what to wait for next, 0 when the connection is over.
short serve(int client, std::string& unsent, std::string& buffer, bool upper) {
  if (unsent.empty()) {
    const ssize_t n = recv(client, &buffer[0], buffer.size(), MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return POLLIN;
    if (n <= 0) return 0;
    for (ssize_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
    unsent.assign(buffer, 0, n);
  }
  const ssize_t n = send(client, &unsent[0], unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && errno != EAGAIN) return 0;
  unsent.erase(0, n < 0 ? 0 : n);
  return unsent.empty() ? POLLIN : POLLOUT;
}

int main(int argc, char** argv) {  // plain-poll [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections inherit it
  sockaddr_in address{AF_INET, htons(static_cast<in_port_t>(port)), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof address;
  if (bind(listener, (sockaddr*)&address, length) || listen(listener, SOMAXCONN)) return perror("listen"), 1;
  getsockname(listener, (sockaddr*)&address, &length);
  dprintf(1, "{\"event\":\"listening\",\"addresses\":[\"127.0.0.1:%d\"]}\n", ntohs(address.sin_port));

  std::unordered_map<int, std::string> unsent;  // by client: what the system has not taken yet
  std::string buffer(size, '\0');
  std::vector<pollfd> sockets{{listener, POLLIN, 0}};
  while (poll(&sockets[0], sockets.size(), -1) > 0) {
    for (std::size_t i = sockets.size(); i-- > 0;) {  // the last may take the place of one that has ended
      if (sockets[i].revents == 0) continue;
      pollfd& client = i > 0 ? sockets[i] : sockets.emplace_back(accept(listener, nullptr, nullptr));
      if (client.fd < 0) perror("accept"), usleep(100'000);  // the reason may last: do not spin
      client.events = serve(client.fd, unsent[client.fd], buffer, upper);
      if (client.events != 0) continue;
      unsent.erase(client.fd);
      close(client.fd);
      client = sockets.back();
      sockets.pop_back();
    }
  }
  return perror("poll"), 1;
}
