// One thread waits until the system has done something that it asked for: to accept, to receive, or to send.
// Good: one system call hands over all that is to be done next, and waits for what has been done.
// It breaks if one request takes long, where a host forbids io_uring, and a silent client needs its buffer.
#include <ctype.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include <string>

struct connection {  // a client's, or the listener, which has no buffer
  int socket;
  std::string buffer;
  std::size_t received = 0, sent = 0;
};

void request_next(io_uring* ring, connection* conn, bool upper) {
  auto& [socket, buffer, received, sent] = *conn;
  for (auto i = sent; upper && i < received; ++i) buffer[i] = static_cast<char>(toupper(buffer[i] & 0xff));
  if (sent == received) sent = received = 0;
  io_uring_sqe* const entry = io_uring_get_sqe(ring);
  buffer.empty()    ? io_uring_prep_accept(entry, socket, nullptr, nullptr, 0)
  : sent < received ? io_uring_prep_send(entry, socket, &buffer[sent], received - sent, MSG_NOSIGNAL)
                    : io_uring_prep_recv(entry, socket, &buffer[0], buffer.size(), 0);
  io_uring_sqe_set_data(entry, conn);
}

int main(int argc, char** argv) {  // plain-io-uring [PORT [--upper] [--buffer N]]
  std::size_t port = argc > 1 ? std::stoul(argv[1]) : 0, upper = 0, size = 65536;
  for (int i = 2; i < argc; ++i) std::string(argv[i]) == "--upper" ? upper = 1 : size = std::stoul(argv[++i]);
  io_uring ring;  // without the flag a completion interrupts the program, for up to 1.7 times the cost
  if ((errno = -io_uring_queue_init(256, &ring, IORING_SETUP_COOP_TASKRUN))) return perror("io_uring"), 77;
  const int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // connections inherit it
  sockaddr_in address{AF_INET, htons(static_cast<in_port_t>(port)), {htonl(INADDR_LOOPBACK)}, {}};
  socklen_t length = sizeof address;
  if (bind(listener, (sockaddr*)&address, length) || listen(listener, SOMAXCONN)) return perror("listen"), 1;
  getsockname(listener, (sockaddr*)&address, &length);
  dprintf(1, "{\"event\":\"listening\",\"addresses\":[\"127.0.0.1:%d\"]}\n", ntohs(address.sin_port));
  request_next(&ring, new connection{listener, ""}, upper);
  for (io_uring_cqe* done;; io_uring_cqe_seen(&ring, done)) {
    while (io_uring_sq_space_left(&ring) < 2 || io_uring_peek_cqe(&ring, &done) != 0)
      io_uring_submit_and_wait(&ring, 1);
    auto* const conn = static_cast<connection*>(io_uring_cqe_get_data(done));
    if (conn->socket == listener) {
      if (done->res < 0) errno = -done->res, perror("accept"), usleep(100'000);
      request_next(&ring, new connection{done->res, std::string(size, '\0')}, upper);
    } else if (done->res <= 0) {
      close(conn->socket);
      delete conn;
      continue;
    } else {
      (conn->sent < conn->received ? conn->sent : conn->received) += done->res;
    }
    request_next(&ring, conn, upper);
  }
}
