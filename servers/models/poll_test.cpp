// The server that waits by poll(2), in this process, so that memory can be lacking where its lists grow.
#include "common/socket.hpp"
#include "servers/serving/listener.hpp"
#include "servers/variants.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>
#include <thread>
#include <vector>

namespace echobench::testing {
namespace {

std::atomic<std::size_t> largest = std::numeric_limits<std::size_t>::max();  // bytes that can be allocated

}  // namespace
}  // namespace echobench::testing

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return size > echobench::testing::largest ? nullptr : std::malloc(size);
}
void* operator new(std::size_t size) {
  void* const memory = ::operator new(size, std::nothrow);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace echobench::testing {
namespace {

bool readable(const unique_fd& socket) {
  pollfd waiting{.fd = socket.get(), .events = POLLIN, .revents = 0};
  return ::poll(&waiting, 1, 60'000) == 1;
}

// Whether a byte comes back; otherwise the server must have ended the connection.
bool served(const unique_fd& client) {
  char byte = 'x';
  ::send(client.get(), &byte, 1, MSG_NOSIGNAL);
  EXPECT_TRUE(readable(client)) << "nothing came for a minute";
  return ::recv(client.get(), &byte, 1, MSG_DONTWAIT) == 1;
}

TEST(server_on_poll, turns_away_those_for_whom_its_lists_cannot_grow) {
  constexpr std::size_t most = 1024;  // bytes; a connection and its buffer take less
  server_options options;
  options.connection.session.framing = framing::raw;
  const auto server = variants::poll.make(options);
  const endpoint address = server->listeners().endpoints().front();
  server_outcome outcome;
  std::vector<unique_fd> clients;
  clients.reserve(most);
  std::size_t turned_away = 0;
  {
    const std::jthread thread(
        [&](const std::stop_token& stop) { outcome = server->run(stop, [] { largest = most; }); });
    for (std::size_t i = 0; i < most; ++i) {
      unique_fd client = start_connect(address, nullptr);
      pollfd connecting{.fd = client.get(), .events = POLLOUT, .revents = 0};
      ASSERT_EQ(::poll(&connecting, 1, 60'000), 1);
      if (served(client)) {
        EXPECT_EQ(turned_away, 0U);
        clients.push_back(std::move(client));
      } else if (++turned_away == 10) {
        break;
      }
    }
    EXPECT_EQ(turned_away, 10U);
    for (const unique_fd& client : clients) EXPECT_TRUE(served(client));
    clients.clear();
    largest = std::numeric_limits<std::size_t>::max();
  }
  EXPECT_GT(outcome.totals.requests, 0U);
  EXPECT_EQ(outcome.totals.errors[static_cast<std::size_t>(server_error::accept)], turned_away);
}

}  // namespace
}  // namespace echobench::testing
