// One suite of behaviour for every transport, against sockets of this process.
#include "loadgen/transport/transport.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t slots = 200;  // more than an io_uring has sends in flight

// Notes what is reported to it, and sends what it is given.
class notes final : public transport_events {
public:
  std::span<const std::byte> pending(std::size_t slot, std::span<std::byte> scratch) noexcept override {
    const auto rest = std::string_view(to_send[slot]).substr(gone_[slot]);
    const auto n = std::min(rest.size(), scratch.size());
    std::memcpy(scratch.data(), rest.data(), n);
    return std::span<const std::byte>(scratch).first(n);
  }
  void taken(std::size_t slot, std::size_t n) noexcept override {
    gone_[slot] += n;
    taken_[slot] += n;
    if (gone_[slot] < to_send[slot].size()) return;
    to_send[slot].clear();
    gone_[slot] = 0;
  }
  void handed_over(std::size_t slot, std::size_t n, time_point when) noexcept override {
    EXPECT_GE(when, flushed);
    EXPECT_LE(when, steady_clock::now());
    sent[slot] += n;
    EXPECT_LE(sent[slot], taken_[slot]);
  }
  void given_back(std::size_t slot, std::size_t n) noexcept override {
    EXPECT_LE(n, sent[slot]);
    sent[slot] -= n;
  }
  void on_connected(std::size_t slot) override {
    connected[slot] = true;
    tested->flush(slot);
  }
  void on_bytes(std::size_t slot, std::span<const std::byte> piece, time_point arrived) override {
    EXPECT_LE(arrived, steady_clock::now());
    received[slot].append(reinterpret_cast<const char*>(piece.data()), piece.size());
    largest_piece = std::max(largest_piece, piece.size());
    if (then) then(slot);
  }
  void on_end(std::size_t slot) override {
    ended[slot] = true;
    tested->close(slot);
  }
  void on_error(std::size_t slot, int error) override {
    errors[slot] = error;
    tested->close(slot);
  }

  transport* tested = nullptr;
  std::string to_send[slots];
  std::string received[slots];
  bool connected[slots]{};
  bool ended[slots]{};
  int errors[slots]{};
  std::size_t largest_piece = 0;
  std::size_t sent[slots]{};  // bytes that the kernel has
  time_point flushed{};       // nothing was handed over before
  std::function<void(std::size_t)> then;

private:
  std::size_t gone_[slots]{};   // of to_send
  std::size_t taken_[slots]{};  // in all
};

class every_transport : public testing::TestWithParam<engine> {
protected:
  every_transport() { open({}); }

  void open(transport_settings settings) {
    settings.slots = slots;
    settings.stop_fd = stop_.get();
    if (settings.message_size == 0) settings.message_size = 64;
    own_.reset();
    own_ = make_transport(GetParam(), settings, handler_);
    own_->enter();
    handler_.tested = own_.get();
  }
  void SetUp() override {
    if (GetParam() == engine::io_uring && !io_uring_unavailable_reason().empty())
      GTEST_SKIP() << io_uring_unavailable_reason();
  }

  // Until it is so; false after 20 s.
  template <class Condition>
  bool until(Condition condition) {
    const auto end = steady_clock::now() + 20s;
    while (!condition()) {
      if (steady_clock::now() > end) return false;
      own_->wait(10ms);
    }
    return true;
  }
  // A connection in that slot; returns the other end of it, blocking.
  unique_fd connect(std::size_t slot, reading how = reading::as_it_comes) {
    EXPECT_TRUE(own_->connect(slot, where_, nullptr, how));
    EXPECT_TRUE(until([&] { return handler_.connected[slot]; }));
    unique_fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    EXPECT_TRUE(peer);
    return peer;
  }
  static std::string read(const unique_fd& peer, std::size_t size) {
    std::string text(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      const auto n = ::recv(peer.get(), text.data() + done, size - done, 0);
      if (n <= 0) break;
      done += static_cast<std::size_t>(n);
    }
    text.resize(done);
    return text;
  }
  static void write(const unique_fd& peer, const std::string& text) {
    EXPECT_EQ(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  const unique_fd stop_{::eventfd(0, EFD_CLOEXEC)};
  const unique_fd listener_ = [] {
    unique_fd fd = listen_on(resolve("127.0.0.1", 0), 16, reuse_port::no);
    set_blocking(fd.get(), true);
    return fd;
  }();
  const endpoint where_ = endpoint::local_of(listener_.get());
  notes handler_;
  std::unique_ptr<transport> own_;
};

TEST_P(every_transport, sends_what_is_pending_and_tells_what_comes) {
  const auto peer = connect(1);
  handler_.to_send[1] = "request";
  own_->flush(1);
  own_->wait(0ms);
  EXPECT_EQ(read(peer, 7), "request");
  write(peer, "reply");
  EXPECT_TRUE(until([&] { return handler_.received[1] == "reply"; }));
}

// Also where it was asked to send long before it could.
TEST_P(every_transport, a_send_is_stamped_when_the_kernel_gets_it) {
  std::vector<unique_fd> peers;
  for (std::size_t slot = 0; slot < slots; ++slot) peers.push_back(connect(slot));
  for (std::size_t slot = 0; slot < slots; ++slot) {
    handler_.to_send[slot] = "request";
    if (GetParam() == engine::io_uring) own_->flush(slot);
  }
  std::this_thread::sleep_for(1ms);
  handler_.flushed = steady_clock::now();
  for (std::size_t slot = 0; slot < slots; ++slot) own_->flush(slot);
  while (own_->poll()) {
  }
  for (std::size_t slot = 0; slot < slots; ++slot) EXPECT_EQ(handler_.sent[slot], 7U) << slot;
}

TEST_P(every_transport, has_news_until_they_are_reported) {
  const auto peer = connect(0);
  EXPECT_FALSE(own_->has_news(0));
  write(peer, "reply");
  for (const auto end = steady_clock::now() + 20s; !own_->has_news(0) && steady_clock::now() < end;) {
  }
  EXPECT_TRUE(own_->has_news(0));
  EXPECT_TRUE(until([&] { return handler_.received[0] == "reply"; }));
  EXPECT_FALSE(own_->has_news(0));
}

TEST_P(every_transport, connections_do_not_mix) {
  constexpr std::size_t some = 4;
  std::vector<unique_fd> peers;
  for (std::size_t slot = 0; slot < some; ++slot) peers.push_back(connect(slot));
  for (std::size_t slot = 0; slot < some; ++slot) {
    handler_.to_send[slot] = std::string(slot + 1, static_cast<char>('a' + slot));
    own_->flush(slot);
  }
  own_->wait(0ms);
  for (std::size_t slot = 0; slot < some; ++slot) {
    const auto text = read(peers[slot], slot + 1);
    EXPECT_EQ(text, std::string(slot + 1, static_cast<char>('a' + slot)));
    write(peers[slot], text + text);
  }
  for (std::size_t slot = 0; slot < some; ++slot) {
    EXPECT_TRUE(until([&] { return handler_.received[slot].size() == 2 * (slot + 1); }));
  }
}

TEST_P(every_transport, goes_on_sending_to_a_peer_that_reads_late) {
  const auto peer = connect(0);
  std::string text;
  for (int i = 0; text.size() < (16U << 20); ++i) text += std::to_string(i);
  handler_.to_send[0] = text;
  own_->flush(0);
  for (int i = 0; i < 100; ++i) own_->wait(1ms);
  EXPECT_FALSE(handler_.to_send[0].empty()) << "more than the system takes";
  const std::size_t sent = handler_.sent[0];
  std::string all = read(peer, sent);
  EXPECT_EQ(all.size(), sent);
  char more = 0;
  EXPECT_EQ(::recv(peer.get(), &more, 1, MSG_DONTWAIT), -1) << "what the kernel did not take is not counted";
  std::atomic<bool> read_all = false;
  std::thread reader([&] {
    all += read(peer, text.size() - sent);
    read_all = true;
  });
  EXPECT_TRUE(until([&] { return handler_.to_send[0].empty() && read_all; }));
  EXPECT_EQ(handler_.sent[0], text.size());
  reader.join();
  EXPECT_EQ(all, text);
}

TEST_P(every_transport, what_is_handed_over_while_a_send_is_under_way_follows_it) {
  const auto peer = connect(0);
  std::string all;
  for (int i = 0; i < 1000; ++i) {
    const auto text = std::to_string(i);
    all += text;
    handler_.to_send[0] += text;
    own_->flush(0);
    if (i % 7 == 0) own_->poll();
  }
  EXPECT_TRUE(until([&] { return handler_.to_send[0].empty(); }));
  own_->wait(0ms);
  EXPECT_EQ(read(peer, all.size()), all);
}

TEST_P(every_transport, tells_the_end_after_the_last_bytes) {
  auto peer = connect(2);
  write(peer, "last");
  peer.reset();
  EXPECT_TRUE(until([&] { return handler_.ended[2]; }));
  EXPECT_EQ(handler_.received[2], "last");
  EXPECT_EQ(handler_.errors[2], 0);
}

TEST_P(every_transport, tells_a_reset) {
  auto peer = connect(2);
  set_reset_on_close(peer.get());
  peer.reset();
  EXPECT_TRUE(until([&] { return handler_.errors[2] != 0; }));
  EXPECT_EQ(handler_.errors[2], ECONNRESET);
}

TEST_P(every_transport, bytes_that_came_before_a_failed_send_are_reported_first) {
  auto peer = connect(0);
  write(peer, "before");
  ::shutdown(peer.get(), SHUT_RDWR);
  own_->wait(0ms);
  peer.reset();
  for (int i = 0; i < 1000 && !handler_.ended[0] && handler_.errors[0] == 0; ++i) {
    handler_.to_send[0] = 'x';
    own_->flush(0);
    own_->wait(1ms);
  }
  EXPECT_EQ(handler_.received[0], "before");
  EXPECT_TRUE(handler_.ended[0] || handler_.errors[0] != 0);
}

TEST_P(every_transport, tells_that_nobody_listens) {
  unique_fd closed = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
  const auto nowhere = endpoint::local_of(closed.get());
  closed.reset();
  if (own_->connect(3, nowhere, nullptr, reading::as_it_comes)) {
    EXPECT_TRUE(until([&] { return handler_.errors[3] != 0; }));
    EXPECT_EQ(handler_.errors[3], ECONNREFUSED);
  } else {
    EXPECT_EQ(errno, ECONNREFUSED);
  }
}

TEST_P(every_transport, connects_from_the_address_that_it_is_given) {
  const endpoint source = resolve("127.0.3.7", 0);
  ASSERT_TRUE(own_->connect(0, where_, &source, reading::as_it_comes));
  EXPECT_TRUE(until([&] { return handler_.connected[0]; }));
  sockaddr_in from{};
  socklen_t size = sizeof from;
  const unique_fd peer(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC));
  EXPECT_EQ(ntohl(from.sin_addr.s_addr), 0x7f00'0307U);
}

TEST_P(every_transport, small_messages_are_not_held_back) {
  const auto peer = connect(0);
  int slow = 0;
  for (int i = 0; i < 50;
       ++i) {  // a write after a write waits 40 ms for an acknowledgement where Nagle rules
    const auto start = steady_clock::now();
    handler_.to_send[0] = 'a';
    own_->flush(0);
    own_->wait(0ms);
    handler_.to_send[0] = 'b';
    own_->flush(0);
    own_->wait(0ms);
    EXPECT_EQ(read(peer, 2), "ab");
    slow += steady_clock::now() - start >= 35ms;
  }
  EXPECT_LT(slow, 25);
}

TEST_P(every_transport, a_slot_is_used_again_and_nothing_of_the_last_connection_is_reported) {
  for (const bool kept : {true, false}) {
    open({.kept = kept});
    for (int i = 0; i < 50; ++i) {
      handler_.connected[0] = false;
      handler_.received[0].clear();
      const auto peer = connect(0);
      handler_.to_send[0] = "mine";
      own_->flush(0);
      own_->wait(0ms);
      EXPECT_EQ(read(peer, 4), "mine");
      write(peer, "reply");
      EXPECT_TRUE(i % 2 == 1 || until([&] { return handler_.received[0] == "reply"; }));
      own_->abort(0);
    }
    EXPECT_EQ(handler_.errors[0], 0);
    EXPECT_FALSE(handler_.ended[0]);
  }
}

TEST_P(every_transport, a_slot_that_is_used_again_while_it_waits_to_send_sends_in_order) {
  std::vector<unique_fd> peers;
  for (std::size_t slot = 0; slot < slots; ++slot) peers.push_back(connect(slot));
  for (std::size_t slot = 0; slot < slots; ++slot) {
    handler_.to_send[slot] = "request";
    own_->flush(slot);
  }
  own_->poll();
  const std::size_t last = slots - 1;
  own_->abort(last);
  handler_.connected[last] = false;
  std::string text;
  for (int i = 0; text.size() < (8U << 20); ++i) text += std::to_string(i);
  handler_.to_send[last] = text;
  const auto peer = connect(last);
  std::string seen;
  std::atomic<bool> whole = false;
  std::thread reader([&] {
    seen = read(peer, text.size());
    whole = true;
  });
  EXPECT_TRUE(until([&] { return whole.load(); }));
  own_->close(last);
  reader.join();
  EXPECT_TRUE(seen == text) << seen.size() << " bytes of " << text.size();
}

TEST_P(every_transport, the_peer_of_a_closed_connection_sees_its_end_and_of_an_aborted_one_a_reset) {
  const auto closed = connect(0);
  const auto aborted = connect(1);
  own_->close(0);
  own_->abort(1);
  for (int i = 0; i < 3; ++i) own_->wait(1ms);
  char byte = 0;
  EXPECT_EQ(::recv(closed.get(), &byte, 1, 0), 0);
  EXPECT_EQ(::recv(aborted.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_P(every_transport, an_event_may_close_and_connect_anew) {
  std::vector<unique_fd> peers;
  peers.push_back(connect(0));
  int left = 20;
  handler_.then = [&](std::size_t slot) {
    own_->abort(slot);
    handler_.connected[slot] = false;
    EXPECT_TRUE(--left == 0 || own_->connect(slot, where_, nullptr, reading::as_it_comes));
  };
  while (left > 0) {
    write(peers.back(), "x");
    const int before = left;
    ASSERT_TRUE(until([&] { return left < before && (left == 0 || handler_.connected[0]); }));
    if (left > 0) peers.emplace_back(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  EXPECT_EQ(handler_.received[0], std::string(20, 'x'));
}

TEST_P(every_transport, reads_on_demand_no_more_than_was_asked_for) {
  const auto peer = connect(0, reading::on_demand);
  write(peer, "0123456789");
  for (int i = 0; i < 5; ++i) own_->wait(1ms);
  EXPECT_EQ(handler_.received[0], "");
  own_->receive(0, 4);
  EXPECT_TRUE(until([&] { return handler_.received[0] == "0123"; }));
  for (int i = 0; i < 5; ++i) own_->wait(1ms);
  EXPECT_EQ(handler_.received[0], "0123");
  own_->receive(0, 100);
  EXPECT_TRUE(until([&] { return handler_.received[0] == "0123456789"; }));
}

TEST_P(every_transport, much_that_comes_at_once_is_reported_whole) {
  const auto peer = connect(0);
  std::string text;
  for (int i = 0; text.size() < (8U << 20); ++i) text += std::to_string(i);
  std::thread writer([&] {
    for (std::size_t at = 0; at < text.size();) {
      const auto n = ::send(peer.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
      ASSERT_GT(n, 0);
      at += static_cast<std::size_t>(n);
    }
  });
  EXPECT_TRUE(until([&] { return handler_.received[0].size() >= text.size(); }));
  writer.join();
  EXPECT_EQ(handler_.received[0], text);
  EXPECT_LE(handler_.largest_piece, 64U << 10);
}

TEST_P(every_transport, sleeps_until_something_happens_and_says_how_long) {
  const auto peer = connect(0);
  while (own_->poll()) {
  }
  const auto start = steady_clock::now();
  std::chrono::nanoseconds waited{0};
  while (waited < 19ms) waited += own_->wait(20ms);  // a signal may end one early
  EXPECT_GE(steady_clock::now() - start, waited);
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    write(peer, "x");
  });
  const auto slept = own_->wait(10s);
  later.join();
  EXPECT_LT(slept, 9s);
  EXPECT_TRUE(until([&] { return handler_.received[0] == "x"; }));
}

TEST_P(every_transport, is_woken_to_stop) {
  EXPECT_FALSE(own_->stop_requested());
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(stop_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  EXPECT_TRUE(until([&] { return own_->stop_requested(); }));
}

INSTANTIATE_TEST_SUITE_P(all, every_transport, testing::Values(engine::epoll, engine::io_uring),
                         [](const auto& chosen) {
                           return chosen.param == engine::epoll ? std::string("epoll")
                                                                : std::string("io_uring");
                         });

}  // namespace
}  // namespace echobench
