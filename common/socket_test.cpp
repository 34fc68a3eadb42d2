#include "common/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace echobench {
namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  ::getsockopt(fd, level, name, &value, &size);
  return value;
}

bool ready(int fd, short events) {
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return ::poll(&waiting, 1, 5000) == 1;
}

TEST(unique_fd, closes_once_and_moves) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  unique_fd reader(ends[0]);
  unique_fd writer(ends[1]);
  unique_fd moved = std::move(reader);
  EXPECT_FALSE(reader);  // NOLINT(bugprone-use-after-move): the moved-from state is the contract
  EXPECT_EQ(moved.get(), ends[0]);
  moved = std::move(writer);
  EXPECT_EQ(::fcntl(ends[0], F_GETFD), -1) << "assigning did not close what was owned";
  moved.reset();
  EXPECT_EQ(::fcntl(ends[1], F_GETFD), -1);
}

TEST(endpoint, parses_and_prints) {
  EXPECT_EQ(resolve("127.0.0.1:80").to_string(), "127.0.0.1:80");
  EXPECT_EQ(resolve("[::1]:65535").to_string(), "[::1]:65535");
  EXPECT_EQ(resolve("::1", 7).to_string(), "[::1]:7");
  for (const char* text :
       {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "::1:80", "127.0.0.1:80x"}) {
    EXPECT_THROW(resolve(text), std::invalid_argument) << text;
  }
}

TEST(endpoint, equal_are_the_same_address_and_port) {
  EXPECT_EQ(resolve("127.0.0.1:80"), resolve("127.0.0.1", 80));
  EXPECT_EQ(resolve("[::1]:80"), resolve("[0:0::1]:80"));
  for (const char* other : {"127.0.0.1:81", "127.0.0.2:80", "[::1]:80", "[::ffff:127.0.0.1]:80"}) {
    EXPECT_NE(resolve(other), resolve("127.0.0.1:80")) << other;
  }
}

TEST(endpoint, an_unknown_host_is_named_with_the_resolvers_words) {
  try {
    resolve("no.such.host.invalid:80");
    FAIL() << "it was found";
  } catch (const std::system_error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("the host 'no.such.host.invalid': "), std::string::npos) << text;
    EXPECT_EQ(text.find("Cannot assign"), std::string::npos) << text;
  }
}

TEST(endpoint, a_name_has_each_address_once_and_those_of_ipv4_first) {
  const auto addresses = resolve_all("localhost:80");
  ASSERT_FALSE(addresses.empty());
  EXPECT_EQ(resolve("localhost:80"), addresses.front());
  bool ipv6 = false;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    EXPECT_EQ(addresses[i].port(), 80);
    EXPECT_FALSE(ipv6 && addresses[i].family() == AF_INET) << addresses[i].to_string();
    ipv6 = ipv6 || addresses[i].family() == AF_INET6;
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(addresses[i], addresses[j]);
  }
}

TEST(socket, connecting_within_a_time_gives_a_connection_or_a_reason) {
  endpoint where;
  {
    const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 16, reuse_port::no);
    where = endpoint::local_of(listener.get());
    const connect_attempt connected = connect_within(where, std::chrono::seconds(5));
    EXPECT_TRUE(connected.fd);
    EXPECT_EQ(connected.error, 0);
  }
  const connect_attempt refused = connect_within(where, std::chrono::seconds(5));
  EXPECT_FALSE(refused.fd);
  EXPECT_EQ(refused.error, ECONNREFUSED);

  const unique_fd full = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
  std::vector<unique_fd> waiting;  // a full accept queue answers nobody
  connect_attempt late;
  for (int i = 0; i < 10 && late.error == 0; ++i) {
    late = connect_within(endpoint::local_of(full.get()), std::chrono::milliseconds(200));
    waiting.push_back(std::move(late.fd));
  }
  EXPECT_EQ(late.error, ETIMEDOUT);
}

TEST(socket, listens_connects_and_carries_bytes) {
  const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 16, reuse_port::no);
  const endpoint where = endpoint::local_of(listener.get());
  EXPECT_NE(where.port(), 0);
  EXPECT_EQ(option(listener.get(), SOL_SOCKET, SO_REUSEADDR), 1);

  const endpoint source = resolve("127.0.0.9", 0);
  const unique_fd client = start_connect(where, &source);
  ASSERT_TRUE(client);
  ASSERT_TRUE(ready(client.get(), POLLOUT));
  EXPECT_EQ(take_socket_error(client.get()), 0);
  EXPECT_EQ(endpoint::local_of(client.get()).to_string().rfind("127.0.0.9:", 0), 0U);

  ASSERT_TRUE(ready(listener.get(), POLLIN));
  const unique_fd server(::accept(listener.get(), nullptr, nullptr));
  ASSERT_TRUE(server);
  for (const int end : {server.get(), client.get()}) EXPECT_NE(option(end, IPPROTO_TCP, TCP_NODELAY), 0);
  ASSERT_EQ(::send(server.get(), "x", 1, 0), 1);
  ASSERT_TRUE(ready(client.get(), POLLIN));
  char got = 0;
  EXPECT_EQ(::recv(client.get(), &got, 1, 0), 1);
  EXPECT_EQ(got, 'x');
}

TEST(socket, a_port_in_use_is_refused_and_named) {
  const unique_fd first = listen_on(resolve("127.0.0.1", 0), 16, reuse_port::no);
  const endpoint where = endpoint::local_of(first.get());
  allow_port_sharing(first.get());
  try {
    listen_on(where, 16, reuse_port::no);
    FAIL() << "an exclusive bind to a port in use was accepted";
  } catch (const std::system_error& error) {
    EXPECT_EQ(error.code(), std::errc::address_in_use);
    EXPECT_NE(std::string(error.what()).find(where.to_string()), std::string::npos) << error.what();
  }
  EXPECT_TRUE(listen_on(where, 16, reuse_port::yes)) << "a sibling that shares must be let in";
}

TEST(socket, a_refused_connect_is_an_error_of_the_socket) {
  endpoint nobody;
  {
    const unique_fd listener = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
    nobody = endpoint::local_of(listener.get());
  }
  const unique_fd client = start_connect(nobody, nullptr);
  if (!client) {
    EXPECT_EQ(errno, ECONNREFUSED);
    return;
  }
  ASSERT_TRUE(ready(client.get(), POLLOUT));
  EXPECT_EQ(take_socket_error(client.get()), ECONNREFUSED);
}

TEST(socket, reset_on_close_sends_a_reset) {
  const unique_fd listener = listen_on(resolve("::1", 0), 16, reuse_port::no);
  unique_fd client = start_connect(endpoint::local_of(listener.get()), nullptr);
  ASSERT_TRUE(client && ready(listener.get(), POLLIN));
  const unique_fd server(::accept(listener.get(), nullptr, nullptr));
  set_reset_on_close(client.get());
  client.reset();
  ASSERT_TRUE(ready(server.get(), POLLIN));
  char byte = 0;
  EXPECT_EQ(::recv(server.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST(socket, blocking_mode_can_be_set) {
  const unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  set_blocking(fd.get(), true);
  EXPECT_EQ(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
  set_blocking(fd.get(), false);
  EXPECT_NE(::fcntl(fd.get(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace echobench
