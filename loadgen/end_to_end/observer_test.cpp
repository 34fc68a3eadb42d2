// The real echo-load, watched by an observer that asks it nothing: echo-scheduled-server logs when the kernel
// received each request, on the same clock.
#include "common/frame.hpp"
#include "common/socket.hpp"
#include "loadgen/accuracy/observation.hpp"
#include "loadgen/end_to_end/program.hpp"
#include "loadgen/transport/transport.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace echobench {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// echo-scheduled-server, which answers at once, with its log.
class observer {
public:
  explicit observer(std::vector<std::string> arguments = {}) {
    char name[] = "/tmp/echo-observer-test-XXXXXX";
    directory_ = ::mkdtemp(name);
    const std::string log = log_file();
    std::vector<const char*> argv{ECHO_SCHEDULED_SERVER, "--schedule", "none", "--log", log.c_str()};
    for (const auto& argument : arguments) argv.push_back(argument.c_str());
    argv.push_back(nullptr);
    std::array<int, 2> out{};
    EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
    out_ = unique_fd(out[0]);
    const unique_fd write_end(out[1]);
    posix_spawn_file_actions_t files;
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawn_file_actions_adddup2(&files, write_end.get(), STDOUT_FILENO);
    EXPECT_EQ(::posix_spawn(&pid_, argv[0], &files, nullptr, const_cast<char**>(argv.data()), environ), 0);
    ::posix_spawn_file_actions_destroy(&files);
  }
  ~observer() {
    if (pid_ > 0) stop();
    std::filesystem::remove_all(directory_);
  }

  std::string address() {
    const json listening = json::parse(read_line());
    return listening.at("addresses").at(0);
  }

  // Ends it; returns what it reported.
  json stop() {
    ::kill(pid_, SIGTERM);
    const std::string reported = read_line();
    int status = 0;
    EXPECT_EQ(::waitpid(std::exchange(pid_, -1), &status, 0) > 0 && WIFEXITED(status), true);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    return json::parse(reported, nullptr, false);
  }
  std::vector<observed_request> log() const {
    std::ifstream file(log_file());
    return read_arrival_log(file);
  }

private:
  std::string log_file() const { return directory_ + "/log.csv"; }
  std::string read_line() {
    std::string line;
    for (char c = 0; ::read(out_.get(), &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }

  std::string directory_;
  pid_t pid_ = -1;
  unique_fd out_;
};

// The log itself.

class frames {
public:
  explicit frames(const std::string& address) : fd_(start_connect(resolve(address), nullptr)) {
    set_blocking(fd_.get(), true);
    pollfd ready{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    EXPECT_EQ(::poll(&ready, 1, 5000), 1);
  }

  static std::vector<std::byte> request(std::uint32_t sequence, std::uint32_t length) {
    std::vector<std::byte> bytes(frame_header_size + length, std::byte{'x'});
    encode_header({.length = length, .sequence = sequence}, std::span(bytes).first<frame_header_size>());
    return bytes;
  }
  void send(std::span<const std::byte> bytes) const {
    EXPECT_EQ(::send(fd_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  void await_reply(std::uint32_t sequence, std::uint32_t length) const {
    auto expected = request(sequence, length);
    const auto header = std::span(expected).first<frame_header_size>();
    encode_header(reply_to(decode_header(header), frame_status::ok), header);
    std::vector<std::byte> reply(expected.size());
    EXPECT_EQ(::recv(fd_.get(), reply.data(), reply.size(), MSG_WAITALL), static_cast<ssize_t>(reply.size()));
    EXPECT_EQ(reply, expected);
  }

private:
  unique_fd fd_;
};

TEST(observer, an_arrival_is_between_the_call_that_sent_it_and_its_reply) {
  observer server;
  const frames client(server.address());
  const auto before = steady_clock::now();
  client.send(frames::request(7, 100));
  const auto sent = steady_clock::now();
  client.await_reply(7, 100);
  const auto after = steady_clock::now();
  EXPECT_EQ(server.stop()["logged"], 1);
  const auto log = server.log();
  ASSERT_EQ(log.size(), 1U);
  EXPECT_EQ(log[0].sequence, 7U);
  if (log[0].stamp == arrival_stamp::absent) GTEST_SKIP() << "the kernel gives no receive timestamps";
  EXPECT_EQ(log[0].stamp, arrival_stamp::exact);
  constexpr auto between_readings = 2us;  // of two clocks
  EXPECT_GE(log[0].arrived, before - between_readings);
  EXPECT_LE(log[0].arrived, sent + between_readings) << "loopback delivers within the call";
  EXPECT_GE(log[0].read, log[0].arrived - between_readings);
  EXPECT_GE(log[0].replied, log[0].read);
  EXPECT_LE(log[0].replied, after);
}

TEST(observer, a_request_has_arrived_when_its_last_byte_has) {
  observer server;
  const frames client(server.address());
  const auto request = frames::request(1, 100);
  std::vector<steady_clock::time_point> before_last;
  for (const std::size_t part : {std::size_t{1}, frame_header_size, frame_header_size + 50}) {
    client.send(std::span(request).first(part));
    std::this_thread::sleep_for(5ms);
    before_last.push_back(steady_clock::now());
    client.send(std::span(request).subspan(part));
    client.await_reply(1, 100);
  }
  server.stop();
  const auto log = server.log();
  ASSERT_EQ(log.size(), before_last.size());
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_GE(log[i].arrived, before_last[i] - 2us);
    EXPECT_NE(log[i].stamp, arrival_stamp::shared);
  }
}

TEST(observer, requests_that_are_read_together_are_marked) {
  observer server;
  const frames client(server.address());
  std::vector<std::byte> bytes;
  for (const std::uint32_t sequence : {1U, 2U, 3U}) {
    const auto request = frames::request(sequence, 10 * sequence);
    bytes.insert(bytes.end(), request.begin(), request.end());
  }
  const auto last_begins = frame_header_size + 10 + frame_header_size + 20;
  client.send(std::span(bytes).first(last_begins + 5));
  client.await_reply(1, 10);
  client.await_reply(2, 20);
  client.send(std::span(bytes).subspan(last_begins + 5));
  client.await_reply(3, 30);
  server.stop();
  const auto log = server.log();
  ASSERT_EQ(log.size(), 3U);
  if (log[2].stamp == arrival_stamp::absent) GTEST_SKIP() << "the kernel gives no receive timestamps";
  EXPECT_EQ(log[0].stamp, arrival_stamp::shared);
  EXPECT_EQ(log[1].stamp, arrival_stamp::shared);
  EXPECT_EQ(log[2].stamp, arrival_stamp::exact);
  EXPECT_GT(log[2].arrived, log[1].arrived);
}

TEST(observer, a_full_log_counts_what_it_leaves_out) {
  observer server({"--log-limit", "2"});
  const frames client(server.address());
  for (const std::uint32_t sequence : {1U, 2U, 3U}) {
    client.send(frames::request(sequence, 10));
    client.await_reply(sequence, 10);
  }
  const json stopped = server.stop();
  EXPECT_EQ(stopped["requests"], 3);
  EXPECT_EQ(stopped["logged"], 2);
  EXPECT_EQ(stopped["not_logged"], 1);
  EXPECT_EQ(server.log().size(), 2U);
}

// What echo-load reports, by each of its engines.

struct watched_run {
  int status = exit_ok;
  std::string errors;
  json cell;
  observation seen;
};

watched_run watch(observed_load load, const std::string& engine, std::vector<std::string> arguments) {
  observer server;
  arguments.insert(arguments.end(),
                   {"--engine", engine, "--warmup", "0", "-R", std::to_string(load.rate), "-c",
                    std::to_string(load.connections), "--seed", std::to_string(load.seed), "--arrivals",
                    load.arrival == arrivals::poisson ? "poisson" : "uniform", server.address()});
  program run(std::move(arguments));
  watched_run result{.status = run.wait(), .errors = run.err(), .cell = {}, .seen = {}};
  if (result.status != exit_ok) return result;
  result.cell = run.cell();
  const json stopped = server.stop();
  EXPECT_EQ(stopped["requests"], result.cell["requests_total"]);
  EXPECT_EQ(stopped["not_logged"], 0);
  result.seen = observe(server.log(), load);
  EXPECT_EQ(result.seen.requests, result.cell["requests_due"]);
  return result;
}

class observed_engine : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override {
    if (GetParam() == std::string("io-uring") && !io_uring_unavailable_reason().empty())
      GTEST_SKIP() << io_uring_unavailable_reason();
  }
};

std::string name_of_engine(const testing::TestParamInfo<const char*>& engine) {
  return engine.param == std::string("epoll") ? "epoll" : "io_uring";
}

INSTANTIATE_TEST_SUITE_P(, observed_engine, testing::Values("epoll", "io-uring"), name_of_engine);

class observed_burst : public observed_engine {};

INSTANTIATE_TEST_SUITE_P(, observed_burst, testing::Values("epoll", "io-uring"), name_of_engine);

// 2,000 requests become due within 2 ms, which no client can send in that time: most are late by several ms.
// Each connection has one of them, so that the arrival of each is known exactly.
//
// The client takes the time when it hands requests to the kernel, some at once at most, and the last of these
// arrives when the others have been sent: this may add to what it reports, but no more than a part of it,
// because what is reported grows with every batch. It is a ratio, so that it holds on a slower machine, too;
// a client that holds requests back after it has taken the time is off by a factor of ten.
TEST_P(observed_burst, is_send_delay_for_all_the_time_that_it_waits_in_the_client) {
  const observed_load load{.arrival = arrivals::uniform,
                           .rate = 4000,
                           .connections = 2000,
                           .seed = 1,
                           .on_off = {.on = 2ms, .off = 498ms}};
  // One try may fail: the client takes the time of up to 256 requests before they are handed over at once,
  // and may lose its CPU between.
  bool as_observed = false;
  std::string seen_instead;
  for (int i = 0; i < 3 && !as_observed; ++i) {
    const auto [status, errors, cell, seen] =
        watch(load, GetParam(), {"--bursts", "2ms/498ms", "-d", "3s", "--pipeline", "8"});
    ASSERT_EQ(status, exit_ok) << errors;
    if (seen.absent > 0) GTEST_SKIP() << "the kernel gives no receive timestamps";
    if (seen.shared > seen.requests / 20) GTEST_SKIP() << "the observer could not keep up";
    as_observed = true;
    for (const auto& [name, percent] : {std::pair("p50", 50.0), {"p90", 90.0}}) {
      const auto reported = cell["send_delay_ns"][name].get<double>();
      const auto observed = static_cast<double>(seen.delay.percentile(percent).count());
      as_observed = as_observed && 0.5 * reported < observed && observed < 1.5 * reported;
      seen_instead += fmt::format("; {} reported {} ns, observed {}", name, reported, observed);
    }
  }
  EXPECT_TRUE(as_observed) << seen_instead;
}

struct watched_arrivals {
  watched_run run;
  bool on_schedule = false;
};

// On a machine that is busy otherwise the client is kept from sending on time, and reports that: then a lower
// rate is tried, whose gaps are longer. Of a run that is kept, the sends were late by a tenth of the mean gap
// on average, and by five of these gaps at most: that changes a coefficient of variation by less than 0.1.
watched_arrivals watch_arrivals(arrivals kind, const std::string& engine) {
  watched_arrivals result;
  for (const auto& [rate, duration] : {std::pair(2000U, "2s"), {500U, "3s"}, {100U, "5s"}}) {
    result.run = watch({.arrival = kind, .rate = rate, .connections = 100, .seed = 7, .on_off = {}}, engine,
                       {"-d", duration});
    const double gap_ns = 1e9 / rate;
    const json& delay = result.run.cell["send_delay_ns"];
    result.on_schedule =
        result.run.status == exit_ok && delay["mean"] < 0.1 * gap_ns && delay["max"] < 5 * gap_ns;
    if (result.run.status != exit_ok || result.on_schedule) break;
  }
  return result;
}

TEST_P(observed_engine, sends_poisson_arrivals_whose_gaps_are_exponential) {
  const auto [run, on_schedule] = watch_arrivals(arrivals::poisson, GetParam());
  ASSERT_EQ(run.status, exit_ok) << run.errors;
  if (run.seen.absent > 0) GTEST_SKIP() << "the kernel gives no receive timestamps";
  if (!on_schedule) GTEST_SKIP() << "the client was kept from sending on schedule, at 100 requests/s, too";
  EXPECT_NEAR(run.seen.arrived.coefficient_of_variation(), 1, 0.25);
  std::uint64_t longer = 0;  // than 10 us
  for (const std::uint64_t count : run.seen.tenths) longer += count;
  EXPECT_GT(longer, run.seen.requests * 9 / 10);
  const double tolerance = 0.03 + 4 * std::sqrt(0.1 * 0.9 / static_cast<double>(longer));
  for (const std::uint64_t count : run.seen.tenths)
    EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(longer), 0.1, tolerance);
}

TEST_P(observed_engine, sends_uniform_arrivals_at_equal_distances) {
  const auto [run, on_schedule] = watch_arrivals(arrivals::uniform, GetParam());
  ASSERT_EQ(run.status, exit_ok) << run.errors;
  if (run.seen.absent > 0) GTEST_SKIP() << "the kernel gives no receive timestamps";
  if (!on_schedule) GTEST_SKIP() << "the client was kept from sending on schedule, at 100 requests/s, too";
  EXPECT_LT(run.seen.arrived.coefficient_of_variation(), 0.6);
}

// The client may lose its CPU between taking the time and sending: once in 5,000 gaps is enough to change
// their coefficient of variation. Then the run is repeated; a figure that is calculated wrongly is wrong in
// each. A client that is kept away for long sends what has become due as fast as it can: where that is
// once in 10 to 20 us, some of them arrive less than 10 us apart, or the other way round.
TEST_P(observed_engine, reports_the_gaps_between_its_requests_as_they_arrive) {
  constexpr int attempts = 6;
  constexpr double catching_up = 2;  // coefficient of variation from which a client was kept away for long
  for (const arrivals kind : {arrivals::poisson, arrivals::uniform}) {
    bool as_observed = false;
    bool kept = false;  // its schedule, in one attempt
    std::string seen_instead;
    for (int i = 0; i < attempts && !as_observed; ++i) {
      const auto [status, errors, cell, seen] =
          watch({.arrival = kind, .rate = 5000, .connections = 100, .seed = 3, .on_off = {}}, GetParam(),
                {"-d", "1s", "--pipeline", "64"});
      ASSERT_EQ(status, exit_ok) << errors;
      if (seen.absent > 0) GTEST_SKIP() << "the kernel gives no receive timestamps";
      const json sent = cell["arrivals_sent"];
      EXPECT_EQ(sent["streams"], 1);
      EXPECT_NEAR(sent["coefficient_of_variation_expected"].get<double>(),
                  seen.due.coefficient_of_variation(), 1e-6);
      EXPECT_NEAR(sent["gaps_below_10us_expected"].get<double>(), seen.due.share_below_short(), 1e-6);
      const double reported = sent["coefficient_of_variation"].get<double>();
      const double observed = seen.arrived.coefficient_of_variation();
      const double short_reported = sent["gaps_below_10us"].get<double>();
      const double short_observed = seen.arrived.share_below_short();
      as_observed = std::abs(reported - observed) < 0.05 + 0.2 * observed &&
                    short_reported < short_observed + 0.1 &&
                    (short_reported > short_observed - 0.1 || catching_up < observed);
      kept |= observed <= catching_up;
      seen_instead += fmt::format("; {:.3f} reported, {:.3f} observed, gaps below 10 us {:.3f}, {:.3f}",
                                  reported, observed, short_reported, short_observed);
    }
    if (!as_observed && !kept) GTEST_SKIP() << "the client was kept from sending on schedule" << seen_instead;
    EXPECT_TRUE(as_observed) << seen_instead;
  }
}

}  // namespace
}  // namespace echobench
