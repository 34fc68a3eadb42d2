// The plain programs: what they are allowed to be, and what they do over the wire.
#include "servers/conformance/exchange.hpp"
#include "servers/conformance/waiting.hpp"

#include <gtest/gtest.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <list>
#include <regex>

namespace echobench::testing {
namespace {

namespace fs = std::filesystem;

// ---- the sources

// The programs' files; the client is one of them.
std::vector<fs::path> sources() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(ECHOBENCH_ROOT "/servers/plain")) {
    if (entry.path().extension() == ".cpp" && entry.path().stem() != "plain_test")
      all.push_back(entry.path());
  }
  std::ranges::sort(all);
  return all;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

TEST(plain_sources, a_program_fits_on_a_page_and_needs_no_header_of_ours) {
  ASSERT_FALSE(sources().empty());
  for (const fs::path& file : sources()) {
    const std::vector<std::string> lines = lines_of(file);
    EXPECT_LE(lines.size(), 60U) << file;
    for (const std::string& line : lines)
      EXPECT_FALSE(line.starts_with("#include \"")) << file << ": " << line;
  }
}

TEST(plain_sources, begin_with_three_sentences) {
  const std::regex end_of_sentence(R"([.!?](\s|$))");
  for (const fs::path& file : sources()) {
    std::string comment;
    for (const std::string& line : lines_of(file)) {
      if (!line.starts_with("// ")) break;
      comment += line.substr(3) + "\n";
    }
    const std::sregex_iterator first(comment.begin(), comment.end(), end_of_sentence);
    EXPECT_EQ(std::distance(first, std::sregex_iterator()), 3) << file << ":\n" << comment;
  }
}

// ---- the servers

// `plain-thread-pool` is thread_pool.cpp.
std::string program(const std::string& name) { return PLAIN_BUILD "/plain-" + name; }

std::vector<std::string> servers() {
  std::vector<std::string> names;
  for (const fs::path& file : sources()) {
    std::string name = file.stem();
    std::ranges::replace(name, '_', '-');
    if (name != "client") names.push_back(name);
  }
  return names;
}

class plain : public ::testing::TestWithParam<std::string> {
protected:
  void SetUp() override {
    const bool may_be_missing =
        GetParam() == "fibers" || GetParam() == "io-uring";  // CMakeLists.txt says why
    if (may_be_missing && !fs::exists(program(GetParam()))) GTEST_SKIP() << "not built here";
    serve();
    if (may_be_missing && server().listening().is_null()) {
      const exit_report report = server().wait();
      if (report.status == 77) GTEST_SKIP() << report.errors;
    }
  }

  static bool holds_one() { return GetParam() == "blocking"; }

  void serve(std::vector<std::string> options = {}, unsigned descriptors = 0) {
    peers_.clear();
    options.insert(options.begin(), {program(GetParam()), "0"});
    server_ = std::make_unique<server_process>(std::move(options), descriptors);
  }
  server_process& server() { return *server_; }
  client& connect() { return peers_.emplace_back(server_->address()); }
  void leave(client& peer) {
    peers_.remove_if([&](const client& other) { return &other == &peer; });
  }

  // SIGTERM ends it, for which it has no handler; it reports nothing.
  void expect_end() {
    const exit_report report = server_->stop();
    EXPECT_EQ(report.status, 128 + SIGTERM);
    EXPECT_EQ(report.output, "");
    EXPECT_EQ(report.errors, "");
  }

private:
  std::unique_ptr<server_process> server_;
  std::list<client> peers_;
};

INSTANTIATE_TEST_SUITE_P(servers, plain, ::testing::ValuesIn(servers()), [](const auto& instance) {
  std::string name = instance.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

exchange raw(std::size_t size, std::uint32_t seed = 1) { return message("raw", size, seed); }

// More than the buffers on the way take, quickly made and compared under sanitizers.
bytes more_than_the_buffers() {
  const bytes text = testing::text(99'991, 1);
  bytes all;
  while (all.size() < std::size_t{24} << 20) all += text;
  return all;
}

TEST_P(plain, echoes_any_size) {
  client& peer = connect();
  for (const std::size_t size : {1, 2, 99, 100, 101, 4095, 4096, 4097, 65'535, 65'536, 65'537, 1'000'003}) {
    expect_duplex(peer, raw(size, static_cast<std::uint32_t>(size)));
  }
  expect_end();
}

TEST_P(plain, waits_for_a_client_that_does_not_read_at_first) {
  client& peer = connect();
  const bytes all = more_than_the_buffers();
  std::string_view rest = all;
  while (peer.writable_within(50ms)) rest.remove_prefix(peer.send_some(rest));
  ASSERT_FALSE(rest.empty());
  const auto sender = std::async(std::launch::async, [&] { peer.send(rest); });
  EXPECT_TRUE(peer.receive(all.size()) == all);
  expect_end();
}

TEST_P(plain, answers_lines_in_upper_case_however_they_are_cut) {
  serve({"--upper"});
  client& peer = connect();
  const exchange lines{"one line\nand half of anoth", "ONE LINE\nAND HALF OF ANOTH"};
  for (const char c : lines.request) peer.send({&c, 1});
  EXPECT_EQ(peer.receive(lines.reply.size()), lines.reply);
  expect_exchange(peer,
                  {"er; na\xc3\xafve, [1] {2}\n", "ER; NA\xc3\xafVE, [1] {2}\n"});  // ASCII letters only
  expect_exchange(peer, {std::string(100'000, 'x'), std::string(100'000, 'X')});
  expect_end();
}

// In how many parts a message of 1,000 bytes came back.
unsigned parts_of_a_reply(client& peer) {
  expect_exchange(peer, raw(1000));
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(peer.fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) fail("TCP_INFO");
  return info.tcpi_data_segs_in;
}

TEST_P(plain, reads_in_buffers_of_a_hundred_bytes_if_asked_to) {
  EXPECT_EQ(parts_of_a_reply(connect()), 1U);
  serve({"--buffer", "100"});
  client& peer = connect();
  EXPECT_GT(parts_of_a_reply(peer), 1U);
  for (const std::size_t size : {1, 99, 100, 101, 250, 100'000}) expect_duplex(peer, raw(size));
  expect_end();
}

TEST_P(plain, answers_all_to_a_client_that_sends_no_more) {
  client& peer = connect();
  const exchange e = raw(3'000'000);
  const auto sender = std::async(std::launch::async, [&] {
    peer.send(e.request);
    peer.finish();
  });
  expect_same(peer.receive_to_end(), e.reply);
  connect().finish();  // who sends nothing at all
  expect_exchange(connect(), raw(10));
  expect_end();
}

TEST_P(plain, serves_a_hundred_clients) {
  std::vector<client*> peers(100);
  for (client*& peer : peers) peer = &connect();
  for (std::uint32_t i = 0; i < peers.size(); ++i) peers[i]->send(raw(1000, i).request);
  for (std::uint32_t i = 0; i < peers.size(); ++i) {
    expect_same(peers[i]->receive(1000), raw(1000, i).reply);
    if (!holds_one()) continue;
    // The next one is connected, and has sent its request, but the server does not see it.
    if (i + 1 < peers.size()) {
      EXPECT_FALSE(peers[i + 1]->readable_within(0ms));
    }
    peers[i]->close();
  }
  expect_end();
}

TEST_P(plain, survives_clients_that_reset) {
  const bytes large = more_than_the_buffers();
  for (int round = 0; round < 3; ++round) {
    connect().reset();
    client& answered = connect();
    expect_exchange(answered, raw(10));
    answered.reset();
    client& unread = connect();  // the server is sending, or waits to send, when it is reset
    while (unread.writable_within(20ms)) unread.send_some(large);
    unread.reset();
    client& finished = connect();
    finished.send(raw(1000).request);
    finished.finish();
    finished.reset();
  }
  expect_exchange(connect(), raw(10));
  expect_end();
}

TEST_P(plain, goes_on_after_it_was_stopped_by_job_control) {
  client& peer = connect();
  expect_exchange(peer, raw(10));
  for (int i = 0; i < 3; ++i) {
    server().signal(SIGSTOP);
    server().signal(SIGCONT);
    expect_exchange(peer, raw(10));
  }
  peer.close();
  expect_exchange(connect(), raw(10));
  expect_end();
}

TEST_P(plain, waits_while_it_has_no_descriptor_for_a_client) {
  if (holds_one()) GTEST_SKIP() << "it needs one descriptor for all clients";
  serve({}, 20);
  std::list<client> peers;
  for (int i = 0; i < 40; ++i) {
    peers.emplace_back(server().address()).send(raw(10).request);
  }
  std::size_t served = 0;
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  for (; !peers.empty(); ++served) {  // as some leave, the others are served
    expect_same(peers.front().receive(10), raw(10).reply);
    peers.pop_front();
  }
  EXPECT_EQ(served, 40U);
  const exit_report report = server().stop();
  EXPECT_NE(report.errors.find("accept: Too many open files"), std::string::npos) << report.errors;
}

TEST_P(plain, says_why_it_cannot_listen) {
  const exit_report report =
      server_process({program(GetParam()), std::to_string(server().address().port())}).wait();
  EXPECT_EQ(report.status, 1);
  EXPECT_NE(report.errors.find("Address already in use"), std::string::npos) << report.errors;
  expect_end();
}

// ---- the client

// Runs the client with a file as its standard input; the shell's empty line is the first, which is not part
// of the report.
exit_report run_client(const endpoint& address, const fs::path& input) {
  const std::string command = "echo; exec '" + program("client") + "' " + std::to_string(address.port()) +
                              " < '" + input.string() + "'";
  return server_process({"/bin/sh", "-c", command}).wait();
}

fs::path temporary(const std::string& name) {
  return ::testing::TempDir() + "plain_test_" + std::to_string(::getpid()) + "_" + name;
}

TEST(plain_client, receives_while_it_sends) {
  const fs::path file = temporary("input");
  const bytes text = more_than_the_buffers();
  std::ofstream(file) << text;
  server_process server({program("epoll"), "0"});
  const exit_report report = run_client(server.address(), file);
  EXPECT_EQ(report.status, 0) << report.errors;
  EXPECT_TRUE(report.output == text);
  fs::remove(file);
}

TEST(plain_client, prints_a_reply_before_its_input_ends) {
  const fs::path fifo = temporary("fifo");
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  server_process server({program("blocking"), "0", "--upper"});
  std::promise<void> printed;
  const auto typing = std::async(std::launch::async, [&] {
    std::ofstream keyboard(fifo);
    keyboard << "\"hello\"" << std::endl;
    printed.get_future().wait();
  });
  const std::string command = "exec '" + program("client") + "' " + std::to_string(server.address().port()) +
                              " < '" + fifo.string() + "'";
  server_process typist({"/bin/sh", "-c", command});  // waits for the first line, which is JSON
  printed.set_value();
  EXPECT_EQ(typist.listening(), "HELLO");
  EXPECT_EQ(typist.wait().status, 0);
  fs::remove(fifo);
}

TEST(plain_client, says_that_nobody_listens) {
  const unique_fd bound = listen_on(resolve("127.0.0.1", 0), 1, reuse_port::no);
  ::shutdown(bound.get(), SHUT_RDWR);  // nobody else gets the port
  const exit_report report = run_client(endpoint::local_of(bound.get()), "/dev/null");
  EXPECT_EQ(report.status, 1);
  EXPECT_EQ(report.errors, "connect: Connection refused\n");
}

}  // namespace
}  // namespace echobench::testing
