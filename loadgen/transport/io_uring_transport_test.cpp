// What the kernel may do to a submission, done on purpose: refuse it, or take a part of it.
#include "loadgen/transport/io_uring_transport.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

constexpr std::size_t slots = 300;  // more than the queue has entries

// Takes as many entries of each submission as the test says: 0 is refused.
class reluctant_ring final : public io_uring_transport {
public:
  using io_uring_transport::io_uring_transport;

  std::function<unsigned(unsigned prepared)> takes;
  int error = -EAGAIN;  // of a refusal

private:
  int submit() override {
    const unsigned prepared = ::io_uring_sq_ready(&ring_);
    const unsigned taken = takes ? takes(prepared) : prepared;
    if (prepared > 0 && taken == 0) return error;
    const unsigned withheld = prepared - taken;
    ring_.sq.sqe_tail -= withheld;
    const int result = io_uring_transport::submit();
    ring_.sq.sqe_tail += withheld;
    return result;
  }
};

class echoed final : public transport_events {
public:
  std::span<const std::byte> pending(std::size_t slot, std::span<std::byte> scratch) noexcept override {
    const auto n = std::min(to_send[slot].size(), scratch.size());
    std::memcpy(scratch.data(), to_send[slot].data(), n);
    return std::span<const std::byte>(scratch).first(n);
  }
  void taken(std::size_t slot, std::size_t n) noexcept override { to_send[slot].erase(0, n); }
  void handed_over(std::size_t slot, std::size_t n, time_point) noexcept override { handed[slot] += n; }
  void given_back(std::size_t slot, std::size_t n) noexcept override { handed[slot] -= n; }
  void on_connected(std::size_t slot) override { connected[slot] = true; }
  void on_bytes(std::size_t slot, std::span<const std::byte> bytes, time_point) override {
    received[slot].append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void on_end(std::size_t slot) override { failed[slot] = true; }
  void on_error(std::size_t slot, int) override { failed[slot] = true; }

  std::array<std::string, slots> to_send;
  std::array<std::string, slots> received;
  std::array<std::size_t, slots> handed{};
  std::array<bool, slots> connected{};
  std::array<bool, slots> failed{};
};

class reluctant_kernel : public testing::Test {
protected:
  void SetUp() override {
    if (const auto why = io_uring_unavailable_reason(); !why.empty()) GTEST_SKIP() << why;
    open(64);
  }
  void open(std::size_t message_size) {
    const transport_settings settings{.slots = slots, .message_size = message_size, .stop_fd = stop_.get()};
    ring_ = std::make_unique<reluctant_ring>(settings, events_);
    ring_->enter();
  }
  unique_fd connect(std::size_t slot) {
    events_.connected[slot] = false;
    EXPECT_TRUE(ring_->connect(slot, where_, nullptr, reading::as_it_comes));
    unique_fd peer;
    EXPECT_TRUE(until([&] {
      if (!peer) peer = unique_fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      return peer && events_.connected[slot];
    }));
    return peer;
  }
  template <class Condition>
  bool until(Condition condition) {
    const auto end = steady_clock::now() + 20s;
    while (!condition()) {
      if (steady_clock::now() > end) return false;
      ring_->wait(1ms);
    }
    return true;
  }
  // What has come there within the time that it takes to come.
  std::string read(const unique_fd& peer, std::size_t size) {
    std::string text;
    EXPECT_TRUE(until([&] {
      std::array<char, 4096> part;
      const auto n = ::recv(peer.get(), part.data(), part.size(), 0);
      if (n > 0) text.append(part.data(), static_cast<std::size_t>(n));
      return text.size() >= size;
    }));
    return text;
  }

  const unique_fd stop_{::eventfd(0, EFD_CLOEXEC)};
  const unique_fd listener_ = listen_on(resolve("127.0.0.1", 0), 512, reuse_port::no);
  const endpoint where_ = endpoint::local_of(listener_.get());
  echoed events_;
  std::unique_ptr<reluctant_ring> ring_;
};

std::string message_of(std::size_t slot, int round) {
  return "slot " + std::to_string(slot) + " round " + std::to_string(round) + std::string(40, 'x');
}

TEST_F(reluctant_kernel, takes_a_part_or_nothing_and_every_byte_arrives_once_where_it_belongs) {
  unsigned turn = 0;
  ring_->takes = [&](unsigned prepared) {
    constexpr std::array<unsigned, 5> pattern{0, 1, 7, 0, 100};
    return std::min(prepared, pattern[turn++ % pattern.size()]);
  };
  std::vector<unique_fd> peers;
  for (std::size_t slot = 0; slot < slots; ++slot) peers.push_back(connect(slot));
  for (int round = 0; round < 3; ++round) {
    ring_->error = round == 1 ? -EBUSY : -EAGAIN;
    for (std::size_t slot = 0; slot < slots; ++slot) {
      events_.to_send[slot] = message_of(slot, round);
      ring_->flush(slot);
    }
    for (std::size_t slot = 0; slot < slots; ++slot) {
      const auto text = message_of(slot, round);
      EXPECT_EQ(read(peers[slot], text.size()), text);
      EXPECT_EQ(::send(peers[slot].get(), text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
    }
    for (std::size_t slot = 0; slot < slots; ++slot) {
      EXPECT_TRUE(until([&] { return events_.received[slot] == message_of(slot, round); })) << slot;
      events_.received[slot].clear();
    }
  }
}

TEST_F(reluctant_kernel, what_was_not_taken_does_not_count_as_sent) {
  const auto peer = connect(0);
  ring_->takes = [](unsigned) { return 0U; };
  events_.to_send[0] = "request";
  ring_->flush(0);
  for (int i = 0; i < 5; ++i) ring_->wait(1ms);
  EXPECT_EQ(events_.handed[0], 0U);
  ring_->takes = {};
  EXPECT_EQ(read(peer, 7), "request");
  EXPECT_EQ(events_.handed[0], 7U);
}

TEST_F(reluctant_kernel, what_it_did_not_take_before_a_close_does_not_reach_the_next_connection) {
  const auto first = connect(0);
  ring_->takes = [](unsigned) { return 0U; };
  events_.to_send[0] = "of the first";
  ring_->flush(0);
  ring_->poll();
  ring_->close(0);
  ring_->takes = {};
  events_.to_send[0].clear();
  const auto second = connect(0);
  events_.to_send[0] = "of the second";
  ring_->flush(0);
  EXPECT_EQ(read(second, 13), "of the second");
  EXPECT_EQ(::send(second.get(), "reply", 5, MSG_NOSIGNAL), 5);
  EXPECT_TRUE(until([&] { return events_.received[0] == "reply"; }));
  EXPECT_FALSE(events_.failed[0]);
}

// As many at a time as overflow the first buffers.
TEST_F(reluctant_kernel, receives_that_find_no_buffer_are_few_for_more_are_lent) {
  open(64U << 10);
  std::vector<unique_fd> peers;
  for (std::size_t slot = 0; slot < slots; ++slot) peers.push_back(connect(slot));
  const std::string text(48U << 10, 'x');
  constexpr int rounds = 10;
  for (int round = 0; round < rounds; ++round) {
    for (const auto& peer : peers) {
      EXPECT_EQ(::send(peer.get(), text.data(), text.size(), MSG_NOSIGNAL),
                static_cast<ssize_t>(text.size()));
    }
    for (std::size_t slot = 0; slot < slots; ++slot) {
      EXPECT_TRUE(until([&] { return events_.received[slot].size() >= text.size(); }));
      events_.received[slot].clear();
    }
  }
  EXPECT_LT(ring_->starved_receives(), slots * rounds / 5);
}

}  // namespace
}  // namespace echobench
