// Two threads wait: one for standard input, which it sends, and one for the server, whose replies it prints.
// Good: it receives while it sends, so that neither end gets stuck, and each way is two blocking calls.
// It breaks with more to wait for, since each file takes a thread where poll(2) takes a list of them.
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>

// Until the end of `from`, or until `to` takes no more; false if there was an error.
bool copy(int from, int to) {
  char buffer[65536];
  ssize_t n = 0;
  while ((n = read(from, buffer, sizeof buffer)) > 0) {
    for (ssize_t written = 0, m = 0; written < n; written += m) {
      if ((m = write(to, buffer + written, n - written)) < 0) return false;
    }
  }
  return n == 0;
}

int main(int argc, char** argv) {  // plain-client PORT
  const std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0;
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address{AF_INET, htons(static_cast<in_port_t>(port)), {htonl(INADDR_LOOPBACK)}, {}};
  if (connect(server, (const sockaddr*)&address, sizeof address)) return perror("connect"), 1;

  std::thread([server] {
    if (!copy(0, server)) perror("send");
    shutdown(server, SHUT_WR);  // the end of what we send: the server's replies still come
  }).detach();
  if (!copy(server, 1)) return perror("receive"), 1;
}
