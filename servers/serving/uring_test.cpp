#include "servers/serving/uring.hpp"

#include "common/socket.hpp"
#include "common/uring_setup.hpp"
#include "servers/serving/wrapped_liburing.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace echobench::testing {
namespace {

constexpr int all_sent = 4;  // bytes

struct completion {
  std::uint64_t user_data;
  int result;

  friend bool operator==(const completion&, const completion&) = default;
  friend std::ostream& operator<<(std::ostream& out, const completion& c) {
    return out << c.user_data << ": " << c.result;
  }
};
using completions = std::vector<completion>;

class submission : public ::testing::Test {
protected:
  void SetUp() override {
    if (!uring::unavailable_reason().empty()) GTEST_SKIP() << uring::unavailable_reason();
    ring.emplace();
    ring->enable();
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()), 0);
    socket = unique_fd(pair[0]);
    peer = unique_fd(pair[1]);
  }

  void send(std::string text, std::uint64_t user_data) {
    const std::string& kept = in_use[user_data] = std::move(text);
    ring->send(socket.get(), std::as_bytes(std::span(kept)), true, user_data);
  }
  // An entry at which the kernel stops.
  void prepare_what_is_wrong(std::uint64_t user_data) {
    io_uring_sqe& entry = ring->next(user_data);
    ::io_uring_prep_nop(&entry);
    entry.opcode = 255;
  }
  // A buffer is used for something else as soon as its send is reported.
  completions reap() {
    completions all;
    ring->reap([&](const io_uring_cqe& done) {
      all.push_back({done.user_data, done.res});
      if (const auto buffer = in_use.find(done.user_data); buffer != in_use.end())
        buffer->second.assign(buffer->second.size(), '#');
    });
    return all;
  }
  completions submit() {
    ring->submit();
    return reap();
  }
  std::string received() {
    std::string text(1000, '\0');
    const ssize_t n = ::recv(peer.get(), text.data(), text.size(), MSG_DONTWAIT);
    text.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return text;
  }

  wrapped_liburing wrapped;
  std::map<std::uint64_t, std::string> in_use;  // by the kernel
  std::optional<uring> ring;
  unique_fd socket;
  unique_fd peer;
};

TEST_F(submission, a_send_is_reported_once_the_kernel_has_it) {
  send("one ", 1);
  EXPECT_EQ(reap(), completions{});
  EXPECT_EQ(submit(), (completions{{1, all_sent}}));
  EXPECT_EQ(received(), "one ");
  EXPECT_EQ(submit(), completions{});
}

TEST_F(submission, what_fails_is_tried_again) {
  wrapped.submits = [](unsigned) { return 0; };
  send("one ", 1);
  EXPECT_EQ(submit(), completions{});
  send("two ", 2);
  ring->submit_and_wait(uring::clock::time_point::max());  // and does not wait
  EXPECT_EQ(reap(), completions{});
  EXPECT_EQ(received(), "");
  EXPECT_EQ(wrapped.incomplete, 2U);
  wrapped.submits = {};
  EXPECT_EQ(submit(), (completions{{1, all_sent}, {2, all_sent}}));
  EXPECT_EQ(received(), "one two ");
}

TEST_F(submission, of_what_was_submitted_in_part_only_that_part_is_reported) {
  wrapped.submits = [](unsigned) { return 1; };
  send("one ", 1);
  send("two ", 2);
  send("six ", 3);
  EXPECT_EQ(submit(), (completions{{1, all_sent}}));
  EXPECT_EQ(received(), "one ");
  EXPECT_EQ(submit(), (completions{{2, all_sent}}));
  EXPECT_EQ(submit(), (completions{{3, all_sent}}));
  EXPECT_EQ(received(), "two six ");
}

// The kernel itself leaves entries behind, without a failure.
TEST_F(submission, goes_on_behind_an_entry_at_which_the_kernel_stopped) {
  send("one ", 1);
  prepare_what_is_wrong(2);
  send("two ", 3);
  EXPECT_EQ(submit(), (completions{{1, all_sent}, {2, -EINVAL}}));
  EXPECT_EQ(received(), "one ");
  EXPECT_EQ(wrapped.incomplete, 1U);
  EXPECT_EQ(submit(), (completions{{3, all_sent}}));
  EXPECT_EQ(received(), "two ");
}

TEST_F(submission, a_send_that_fails_later_than_others_is_reported_as_such) {
  wrapped.submits = [](unsigned) { return 1; };
  send("one ", 1);
  send("two ", 2);
  EXPECT_EQ(submit(), (completions{{1, all_sent}}));
  peer.reset();
  EXPECT_EQ(submit(), (completions{{2, -EPIPE}}));
  EXPECT_EQ(submit(), completions{});
}

TEST_F(submission, more_entries_than_the_ring_holds_wait_for_their_turn) {
  constexpr std::uint64_t count = 5000;
  wrapped.submits = [](unsigned) { return 0; };
  for (std::uint64_t i = 0; i < count; ++i) ::io_uring_prep_nop(&ring->next(i));
  send("last", count);
  EXPECT_EQ(submit(), completions{});
  wrapped.submits = [](unsigned entries) { return (entries + 1) / 2; };
  completions all;
  while (all.size() < count + 1) {
    const completions more = submit();
    ASSERT_FALSE(more.empty()) << "after " << all.size();
    all.insert(all.end(), more.begin(), more.end());
  }
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(all[i], (completion{i, 0}));
  EXPECT_EQ(all.back(), (completion{count, all_sent}));
  EXPECT_EQ(received(), "last");
}

// There are more completions than their queue holds, and the last is a failure.
TEST_F(submission, a_failure_behind_a_full_queue_of_completions_is_not_missed) {
  constexpr std::uint64_t count = 20'000;
  peer.reset();
  for (std::uint64_t i = 0; i < count; ++i) ::io_uring_prep_nop(&ring->next(i));
  send("lost", count);
  completions all = submit();
  ASSERT_LT(all.size(), count);
  while (all.size() < count + 1) {
    ring->submit_and_wait(uring::clock::time_point::max());
    const completions more = reap();
    ASSERT_FALSE(more.empty()) << "after " << all.size();
    all.insert(all.end(), more.begin(), more.end());
  }
  for (const completion& c : all) ASSERT_EQ(c.result, c.user_data == count ? -EPIPE : 0) << c;
}

TEST_F(submission, what_is_submitted_while_completions_are_handled_comes_with_the_next) {
  int completed = 0;
  const auto submit_another = [&](const io_uring_cqe&) {
    ++completed;
    ASSERT_LT(completed, 1000) << "reap() goes on and on";
    ::io_uring_prep_nop(&ring->next(0));
    ring->submit();
  };
  ::io_uring_prep_nop(&ring->next(0));
  ring->submit();
  ring->reap(submit_another);
  EXPECT_EQ(completed, 1);
  ring->reap(submit_another);
  EXPECT_EQ(completed, 2);
}

class reception : public submission {
protected:
  void SetUp() override {
    submission::SetUp();
    if (!ring) return;
    const int buffer = 1 << 20;
    ASSERT_EQ(::setsockopt(peer.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
    for (unsigned i = 0; i < pieces; ++i) {
      const std::string piece(uring::buffer_size, static_cast<char>(i));
      ASSERT_EQ(::send(peer.get(), piece.data(), piece.size(), MSG_DONTWAIT), uring::buffer_size) << i;
    }
    ring->receive_on(socket.get(), 0);
  }

  // More than there are buffers at first.
  static constexpr unsigned pieces = uring::first_buffers + 36;
};

TEST_F(reception, has_more_buffers_when_one_has_been_lacking) {
  unsigned got = 0;
  unsigned lacking = 0;
  while (got < pieces && lacking < 10) {
    ring->submit_and_wait(uring::clock::time_point::max());
    bool ended = false;
    ring->reap([&](const io_uring_cqe& done) {
      if (done.res > 0) {
        ASSERT_EQ(static_cast<char>(ring->buffer_of(done)[0]), static_cast<char>(got++));
      } else {
        ASSERT_EQ(done.res, -ENOBUFS);
        ++lacking;
      }
      ended = ended || (done.flags & IORING_CQE_F_MORE) == 0;
    });
    if (ended) ring->receive_on(socket.get(), 0);
  }
  EXPECT_EQ(got, pieces);
  EXPECT_EQ(lacking, 1U);
}

TEST_F(reception, a_buffer_whose_completion_was_handled_is_free_for_what_is_submitted_then) {
  unsigned got = 0;
  unsigned lacking = 0;
  while (lacking == 0) {
    ring->submit_and_wait(uring::clock::time_point::max());
    ring->reap([&](const io_uring_cqe& done) {
      if (done.res > 0) return void(++got);
      ASSERT_EQ(done.res, -ENOBUFS);
      ++lacking;
      ring->receive_on(socket.get(), 0);
      ring->submit();
    });
  }
  EXPECT_EQ(got, uring::first_buffers);
  ring->reap([&](const io_uring_cqe& done) {
    EXPECT_GT(done.res, 0);
    ++got;
  });
  EXPECT_GT(got, uring::first_buffers);
}

TEST(setting_up, names_what_to_change_if_memory_is_lacking) {
  wrapped_liburing wrapped;
  wrapped.error_of_setting_up = ENOMEM;
  EXPECT_NE(why_no_ring(8, {}).find("ulimit -l"), std::string::npos);
  try {
    const uring ring;
    FAIL() << "there is a ring";
  } catch (const std::system_error& error) {
    EXPECT_NE(std::string(error.what()).find("ulimit -l"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace echobench::testing
