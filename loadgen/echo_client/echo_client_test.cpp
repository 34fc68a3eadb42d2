// The real program between a test and a server.
#include "common/process.hpp"
#include "loadgen/end_to_end/fixture_server.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace echobench {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using namespace std::chrono_literals;

struct pipe_ends {
  unique_fd read;
  unique_fd write;
};

pipe_ends make_pipe() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {unique_fd(ends[0]), unique_fd(ends[1])};
}

// A running program with pipes for its standard streams.
class program {
public:
  explicit program(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    auto in = make_pipe();
    auto out = make_pipe();
    auto err = make_pipe();
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, in.read.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, out.write.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&files, err.write.get(), STDERR_FILENO);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ), 0);
    ::posix_spawn_file_actions_destroy(&files);
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    err_ = std::move(err.read);
  }
  ~program() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  // Returns how many bytes it took before it ended.
  std::size_t write(const std::string& text) const {
    std::size_t done = 0;
    while (done < text.size()) {
      const auto n = ::write(in_.get(), text.data() + done, text.size() - done);
      if (n <= 0) break;
      done += static_cast<std::size_t>(n);
    }
    return done;
  }
  void end_input() { in_.reset(); }
  void close_output() { out_.reset(); }
  std::string read_some(std::size_t most = 64U << 10) const {
    std::string text(most, '\0');
    const auto n = ::read(out_.get(), text.data(), text.size());
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }
  std::string read_line() const {
    std::string text;
    for (auto part = read_some(1); !part.empty(); part = read_some(1)) {
      text += part;
      if (part == "\n") break;
    }
    return text;
  }
  int in() const { return in_.get(); }
  void signal(int number) const { ::kill(pid_, number); }

  int wait() {
    int status = 0;
    EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  // Until now; the program must be running. Not ru_maxrss, which begins with what its parent had used.
  std::size_t peak_memory_kib() const {
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmHWM:")) return std::stoul(line.substr(6));
    }
    ADD_FAILURE() << "no VmHWM";
    return 0;
  }
  std::string err() const {  // after wait()
    std::string text(64U << 10, '\0');
    const auto n = ::read(err_.get(), text.data(), text.size());
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }

private:
  pid_t pid_ = -1;
  unique_fd in_;
  unique_fd out_;
  unique_fd err_;
};

class client : public program {
public:
  explicit client(const std::string& server) : program({ECHO_CLIENT, server}) {}
  // With streams that the shell redirects or closes: ">&-".
  client(const std::string& server, const std::string& redirections)
      : program({"/bin/sh", "-c", "exec \"$0\" \"$@\" " + redirections, ECHO_CLIENT, server}) {}
};

class echo_client : public testing::Test {
protected:
  echo_client() { std::signal(SIGPIPE, SIG_IGN); }
};

TEST_F(echo_client, prints_each_reply_while_the_input_goes_on) {
  fixture_server server(behaviours::echo_bytes);
  client run(server.address());
  for (const std::string line : {"one\n", "two\n", "three\n"}) {
    run.write(line);
    EXPECT_EQ(run.read_line(), line);
  }
  run.end_input();
  EXPECT_EQ(run.wait(), exit_ok);
  EXPECT_EQ(run.err(), "");
}

TEST_F(echo_client, prints_what_a_server_sends_without_a_request) {
  fixture_server server(behaviours::greet);
  client run(server.address());
  EXPECT_THAT(run.read_line(), HasSubstr("220 mail.example.org"));
  run.end_input();
  EXPECT_EQ(run.wait(), exit_ok);
}

TEST_F(echo_client, a_last_line_without_its_end_is_sent_and_answered) {
  fixture_server server(behaviours::echo_bytes);
  client run(server.address());
  run.write("no newline");
  run.end_input();
  EXPECT_EQ(run.read_line(), "no newline");
  EXPECT_EQ(run.wait(), exit_ok);
}

TEST_F(echo_client, a_server_that_closes_first_is_reported) {
  fixture_server server([](auto& peer) { peer.write(peer.read_some()); });
  client run(server.address());
  run.write("hello\n");
  EXPECT_EQ(run.read_line(), "hello\n");
  EXPECT_EQ(run.wait(), exit_failed) << "although the input is still open";
  EXPECT_THAT(run.err(), AllOf(HasSubstr(server.address()), HasSubstr("closed the connection")));
}

TEST_F(echo_client, a_reset_is_reported) {
  fixture_server server([](auto& peer) {
    peer.read_some();
    set_reset_on_close(peer.fd());
  });
  client run(server.address());
  run.write("hello\n");
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), HasSubstr("broke: Connection reset"));
}

TEST_F(echo_client, a_server_that_sends_and_never_reads_is_printed) {
  std::atomic<bool> enough = false;
  fixture_server server([&](auto& peer) {
    const message chatter(64U << 10, std::byte{'x'});
    while (!enough && peer.write(chatter)) {
    }
  });
  client run(server.address());
  std::atomic<std::size_t> written = 0;
  std::jthread typing([&] { written = run.write(std::string(64U << 20, 'y')); });
  run.read_some();
  const auto before = run.peak_memory_kib();
  std::size_t heard = 0;
  while (heard < (16U << 20)) {
    const auto part = run.read_some();
    ASSERT_FALSE(part.empty());
    heard += part.size();
  }
  EXPECT_LT(run.peak_memory_kib() - before, 2048U);
  enough = true;
  while (!run.read_some().empty()) {
  }
  EXPECT_EQ(run.wait(), exit_failed);
  typing.join();
  EXPECT_LT(written, 64U << 20) << "the input waits, in the pipe, not in memory";
}

TEST_F(echo_client, a_slow_reader_of_the_output_holds_up_nothing_else) {
  // The output is full and unread; a line that is typed must reach the server all the same.
  std::atomic<bool> arrived = false;
  fixture_server server([&](auto& peer) {
    peer.write(message(80U << 10, std::byte{'x'}));  // more than a pipe holds
    arrived = !peer.read_some().empty();
    behaviours::echo_bytes(peer);
  });
  client run(server.address());
  std::this_thread::sleep_for(100ms);
  run.write("typed\n");
  for (int i = 0; i < 5000 && !arrived; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(arrived);
  run.end_input();
  std::size_t printed = 0;
  for (auto part = run.read_some(1000); !part.empty(); part = run.read_some(1000)) {
    printed += part.size();
    std::this_thread::sleep_for(100us);
  }
  EXPECT_EQ(printed, 80U << 10);
  EXPECT_EQ(run.wait(), exit_ok);
}

TEST_F(echo_client, an_output_that_is_closed_ends_it) {
  fixture_server server(behaviours::echo_bytes);
  client run(server.address());
  run.close_output();  // nothing was to be printed
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), HasSubstr("nobody reads the output"));
}

TEST_F(echo_client, an_output_that_cannot_be_written_is_reported_as_such) {
  fixture_server server(behaviours::echo_bytes);
  client run(server.address(), ">/dev/full");
  run.write("hello\n");
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), HasSubstr("cannot write to standard output: No space left on device"));
}

// Notes what it receives, and answers it, after a line of its own.
fixture_server::behaviour greeting_and_noting(std::atomic<std::size_t>& received) {
  return [&received](fixture_server::connection& peer) {
    peer.write(message(1, std::byte{'\n'}));
    for (auto bytes = peer.read_some(); !bytes.empty(); bytes = peer.read_some()) {
      received += bytes.size();
      peer.write(bytes);
    }
  };
}

// A stream that is closed must not become the connection, whose replies would be sent back for ever.
TEST_F(echo_client, an_input_that_is_closed_is_empty) {
  std::atomic<std::size_t> received = 0;
  fixture_server server(greeting_and_noting(received));
  client run(server.address(), "<&-");
  EXPECT_EQ(run.wait(), exit_ok) << run.err();
  EXPECT_EQ(run.read_some(), "\n");
  EXPECT_EQ(received, 0U);
}

TEST_F(echo_client, an_output_that_is_closed_from_the_start_is_an_error) {
  std::atomic<std::size_t> received = 0;
  fixture_server server(greeting_and_noting(received));
  for (const std::string closed : {">&-", "<&- >&-"}) {
    client run(server.address(), closed);
    run.write("hello\n");
    run.end_input();
    EXPECT_EQ(run.wait(), exit_failed) << closed;
    EXPECT_THAT(run.err(), HasSubstr("standard output is closed")) << closed;
    EXPECT_EQ(received, 0U) << closed;
  }
}

TEST_F(echo_client, errors_that_are_not_wanted_do_not_go_to_the_server) {
  std::atomic<std::size_t> received = 0;
  std::atomic<bool> ended = false;
  fixture_server server([&](auto& peer) {
    received += peer.read_some().size();
    ::shutdown(peer.fd(), SHUT_WR);  // before the input ends, which is an error
    for (auto bytes = peer.read_some(); !bytes.empty(); bytes = peer.read_some()) received += bytes.size();
    ended = true;
  });
  client run(server.address(), "2>&-");
  run.write("hello\n");
  EXPECT_EQ(run.wait(), exit_failed);
  for (int i = 0; i < 5000 && !ended; ++i) std::this_thread::sleep_for(1ms);
  EXPECT_TRUE(ended);
  EXPECT_EQ(received, 6U);
}

TEST_F(echo_client, a_signal_ends_it_and_is_reported) {
  fixture_server server([](auto& peer) {
    while (peer.write({std::byte{'x'}})) std::this_thread::sleep_for(1ms);
  });
  client run(server.address());
  EXPECT_EQ(run.read_some(1), "x");
  std::this_thread::sleep_for(50ms);
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), exit_failed);
  EXPECT_THAT(run.err(), HasSubstr("stopped by a signal"));
}

TEST_F(echo_client, leaves_what_it_shares_blocking) {
  fixture_server server(behaviours::echo_bytes);
  client run(server.address());
  run.write("x\n");
  EXPECT_EQ(run.read_line(), "x\n");
  EXPECT_EQ(::fcntl(run.in(), F_GETFL) & O_NONBLOCK, 0);
  run.end_input();
  EXPECT_EQ(run.wait(), exit_ok);
}

TEST_F(echo_client, nobody_listening_is_named) {
  const unserved_address nobody;
  client run(nobody.to_string());
  EXPECT_EQ(run.wait(), exit_failed);
  const auto said = run.err();
  EXPECT_THAT(said,
              AllOf(HasSubstr(nobody.to_string()), HasSubstr("start the server"), HasSubstr("refused")));
  EXPECT_EQ(std::ranges::count(said, '\n'), 1);
}

TEST_F(echo_client, usage_is_refused_and_help_warns_of_the_default_framing) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {ECHO_CLIENT}, {ECHO_CLIENT, "127.0.0.1"}, {ECHO_CLIENT, "127.0.0.1:1", "--nonsense"}}) {
    program run(arguments);
    EXPECT_EQ(run.wait(), exit_usage);
    EXPECT_THAT(run.err(), testing::StartsWith("echo-client: "));
  }
  program help({ECHO_CLIENT, "--help"});
  EXPECT_THAT(help.read_some(), AllOf(HasSubstr("--framing frame, is binary"), HasSubstr("Exit status")));
  EXPECT_EQ(help.wait(), exit_ok);
}

TEST_F(echo_client, a_million_lines_come_back_unharmed_and_in_little_memory) {
  program server({ECHO_SERVER, "--variant", "epoll", "--framing", "line", "--port", "0"});
  const auto listening = server.read_line();
  const auto begin = listening.find("127.0.0.1:");
  ASSERT_NE(begin, std::string::npos) << listening;
  client run(listening.substr(begin, listening.find('"', begin) - begin));

  std::string lines;
  for (int i = 0; i < 1'000'000; ++i) lines += "line " + std::to_string(i) + '\n';
  std::jthread typing([&] {
    EXPECT_EQ(run.write(lines), lines.size());
    run.end_input();
  });
  std::string replies;
  std::size_t first_peak = 0;
  std::size_t last_peak = 0;
  for (auto part = run.read_some(); !part.empty(); part = run.read_some()) {
    replies += part;
    if (first_peak == 0) first_peak = run.peak_memory_kib();
    if (last_peak == 0 && replies.size() > lines.size() * 9 / 10) last_peak = run.peak_memory_kib();
  }
  typing.join();
  EXPECT_EQ(run.wait(), exit_ok);
  EXPECT_TRUE(replies == lines) << replies.size() << " bytes of " << lines.size();
  EXPECT_LT(last_peak - first_peak, 2048U);
}

}  // namespace
}  // namespace echobench
