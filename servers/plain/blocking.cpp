// The one thread waits for the client that it serves: in recv(2), or in send(2) if the client does not read.
// Good: it is the shortest server, reads from top to bottom, and answers a client who is alone at least cost.
// It breaks with the second client, whom the system connects, but who gets no reply until the first has left.
#include <ctype.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include <string>

// What recv(2) returns is what has arrived, not a message: half a line, or three. Upper case is a matter of
// bytes.
void serve(int client, std::size_t size, bool upper) {
  std::string buffer(size, '\0');
  for (ssize_t n; (n = recv(client, &buffer[0], size, 0)) > 0;) {
    for (ssize_t i = 0; upper && i < n; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
    for (ssize_t sent = 0, m = 0; sent < n && m >= 0; sent += m) {
      m = send(client, &buffer[sent], n - sent, MSG_NOSIGNAL);
    }
  }
  close(client);
}

int main(int argc, char** argv) {  // plain-blocking [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections inherit it
  sockaddr_in address{AF_INET, htons(static_cast<in_port_t>(port)), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof address;
  if (bind(listener, (sockaddr*)&address, length) || listen(listener, SOMAXCONN)) return perror("listen"), 1;
  getsockname(listener, (sockaddr*)&address, &length);
  dprintf(1, "{\"event\":\"listening\",\"addresses\":[\"127.0.0.1:%d\"]}\n", ntohs(address.sin_port));

  for (;;) {  // until SIGTERM, which ends it in the middle of whatever it does
    const int client = accept(listener, nullptr, nullptr);
    if (client < 0) perror("accept"), usleep(100'000);  // the reason may last: do not spin
    if (client >= 0) serve(client, size, upper);
  }
}
