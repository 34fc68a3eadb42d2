#include "common/process.hpp"

#include "common/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace echobench {
namespace {

using testing::ExitedWithCode;

struct pipe_ends {
  unique_fd read;
  unique_fd write;
};

pipe_ends make_pipe(int flags = 0) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC | flags), 0);
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

// What a program that was started without some of its standard streams would give a socket.
int next_descriptor() { return ::socket(AF_INET, SOCK_STREAM, 0); }

TEST(standard_streams, that_are_closed_leave_no_number_to_a_socket) {
  const auto without_input_and_errors = [] {
    ::close(STDIN_FILENO);
    ::close(STDERR_FILENO);
    open_standard_streams();
    char byte = 0;
    const bool empty = ::read(STDIN_FILENO, &byte, 1) == 0;
    const bool discarded = ::write(STDERR_FILENO, "x", 1) == 1;
    std::_Exit(empty && discarded && next_descriptor() > STDERR_FILENO ? 0 : 1);
  };
  EXPECT_EXIT(without_input_and_errors(), ExitedWithCode(0), "");
}

TEST(standard_streams, an_output_that_is_closed_is_an_error_and_keeps_its_number) {
  const auto without_output = [] {
    ::close(STDOUT_FILENO);
    try {
      open_standard_streams();
    } catch (const std::runtime_error& error) {
      const bool named = std::string(error.what()).find("standard output is closed") != std::string::npos;
      std::_Exit(named && next_descriptor() > STDERR_FILENO ? 0 : 1);
    }
    std::_Exit(2);
  };
  EXPECT_EXIT(without_output(), ExitedWithCode(0), "");
}

TEST(standard_streams, that_are_open_stay_as_they_are) {
  const auto with_all = [] {
    const auto input = make_pipe();
    ::dup2(input.read.get(), STDIN_FILENO);
    open_standard_streams();
    char byte = 0;
    std::_Exit(::write(input.write.get(), "x", 1) == 1 && ::read(STDIN_FILENO, &byte, 1) == 1 ? 0 : 1);
  };
  EXPECT_EXIT(with_all(), ExitedWithCode(0), "");
}

TEST(write_all, writes_more_than_a_descriptor_takes_at_once) {
  auto [reader, writer] = make_pipe(O_NONBLOCK);
  set_blocking(reader.get(), true);
  const std::string written(1U << 20, 'x');
  std::string_view text = written;
  std::size_t received = 0;
  std::jthread reading([&, from = reader.get()] {
    std::string part(64U << 10, '\0');
    for (auto n = ::read(from, part.data(), part.size()); n > 0; n = ::read(from, part.data(), part.size())) {
      received += static_cast<std::size_t>(n);
    }
  });
  EXPECT_FALSE(write_all(writer.get(), text));
  writer.reset();
  reading.join();
  EXPECT_EQ(text, "");
  EXPECT_EQ(received, written.size());
}

TEST(write_all, returns_what_went_wrong_and_leaves_what_was_not_written) {
  const unique_fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  std::string_view text = "text";
  EXPECT_EQ(write_all(full.get(), text), std::errc::no_space_on_device);
  EXPECT_EQ(write_all(-1, text), std::errc::bad_file_descriptor);
  EXPECT_EQ(text, "text");
}

TEST(stop_signals, end_a_process_only_while_they_are_allowed) {
  const auto interrupted = [](bool allowed) {
    block_stop_signals();
    ::raise(SIGINT);
    forget_stop_signals();
    { const stop_signals_allowed forgotten; }
    ::raise(SIGINT);
    if (allowed) const stop_signals_allowed end;
    std::_Exit(0);
  };
  EXPECT_EXIT(interrupted(false), ExitedWithCode(0), "");
  EXPECT_EXIT(interrupted(true), testing::KilledBySignal(SIGINT), "");
}

// Runs print_output() in a process of its own, whose standard output that is.
void print_to(int output) {
  block_stop_signals();  // SIGPIPE with them
  ::dup2(output, STDOUT_FILENO);
  try {
    print_output("text");
    std::_Exit(0);
  } catch (const std::system_error& error) {
    std::_Exit(error.code() == std::errc::no_space_on_device ? 1
               : error.code() == std::errc::broken_pipe      ? 2
                                                             : 3);
  }
}

TEST(print_output, fails_when_the_text_is_lost) {
  const unique_fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EXIT(print_to(full.get()), ExitedWithCode(1), "");
  auto [reader, writer] = make_pipe();
  reader.reset();
  EXPECT_EXIT(print_to(writer.get()), ExitedWithCode(2), "");
}

}  // namespace
}  // namespace echobench
