// Every variant against the protocol and the process contract. The variants are those that the program lists;
// one that is unavailable here is skipped with its reason. Bytes are compared in every case.
#include "common/build_info.hpp"
#include "common/cpu.hpp"
#include "common/frame.hpp"
#include "servers/conformance/server_process.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <future>
#include <list>
#include <ostream>
#include <sstream>
#include <thread>

namespace echobench::testing {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// ---- what is tested ----

struct subject {
  std::string variant;
  std::string holds;
  std::string unavailable_reason;
  std::string framing;

  bool holds_many() const { return holds == "any"; }
  friend std::ostream& operator<<(std::ostream& out, const subject& s) {
    return out << s.variant << " " << s.framing;
  }
};

std::vector<subject> subjects(const std::vector<std::string>& framings) {
  static const nlohmann::json rows = list_variants();
  std::vector<subject> all;
  for (const auto& row : rows) {
    for (const auto& framing : framings) {
      all.push_back({row.at("name"), row.at("holds"), row.at("unavailable_reason"), framing});
    }
  }
  return all;
}

std::string test_name(const ::testing::TestParamInfo<subject>& info) {
  std::string name = info.param.variant + "_" + info.param.framing;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// ---- the wire ----

bytes encode(const frame_header& header, std::string_view payload) {
  bytes wire(frame_header_size, '\0');
  encode_header(header, std::as_writable_bytes(std::span(wire)).first<frame_header_size>());
  return wire.append(payload);
}

struct exchange {
  bytes request;
  bytes reply;
};

exchange frame(std::string_view payload, std::uint32_t sequence, frame_op op = frame_op::echo,
               std::chrono::microseconds param = 0us, std::uint8_t flags = 0) {
  const frame_header request{.length = static_cast<std::uint32_t>(payload.size()),
                             .op = op,
                             .flags = flags,
                             .param = static_cast<std::uint32_t>(param.count()),
                             .sequence = sequence};
  frame_header reply = request;
  reply.flags |= flag_reply;
  bytes answered(payload);
  if (op == frame_op::upper) to_upper_ascii(std::as_writable_bytes(std::span(answered)));
  return {encode(request, payload), encode(reply, answered)};
}

exchange refused(std::string_view payload, frame_header request, frame_status status) {
  frame_header reply = request;
  reply.flags |= flag_reply;
  reply.status = status;
  reply.length = 0;
  return {encode(request, payload), encode(reply, "")};
}

exchange& operator+=(exchange& a, const exchange& b) {
  a.request += b.request;
  a.reply += b.reply;
  return a;
}
exchange operator+(const exchange& a, const exchange& b) {
  exchange both = a;
  return both += b;
}

// Text that differs at every place and for every seed.
bytes text(std::size_t size, std::uint32_t seed) {
  bytes result(size, '\0');
  char* const end = result.data() + size;  // an iterator would make calls, which sanitizers make slow
  for (char* c = result.data(); c != end; ++c) {
    seed = seed * 1'664'525U + 1'013'904'223U;
    *c = "abcdefghijklmnopqrstuvwxyzABCDEF"[seed >> 27];
  }
  return result;
}

exchange message(const std::string& framing, std::size_t size, std::uint32_t seed) {
  const bytes body = text(size, seed);
  if (framing == "frame") return frame(body, seed);
  const bytes wire = framing == "line" ? body + "\n" : body;
  return {wire, wire};
}

// gtest prints what differs; megabytes help nobody.
void expect_same(const bytes& got, const bytes& expected) {
  if (expected.size() <= 200) {
    EXPECT_EQ(got, expected);
    return;
  }
  EXPECT_EQ(got.size(), expected.size());
  const auto differs =
      std::mismatch(got.begin(), got.end(), expected.begin(), expected.end()).first - got.begin();
  EXPECT_TRUE(got == expected) << "first difference at byte " << differs;
}

void expect_exchange(client& peer, const exchange& e) {
  peer.send(e.request);
  expect_same(peer.receive(e.reply.size()), e.reply);
}

// Sends while it receives, so that neither side waits for the other's buffers.
void expect_duplex(client& peer, const exchange& e) {
  const auto sender = std::async(std::launch::async, [&] { peer.send(e.request); });
  expect_same(peer.receive(e.reply.size()), e.reply);
}

template <class Condition>
bool eventually(Condition condition) {
  for (const auto end = steady_clock::now() + patience; steady_clock::now() < end;
       std::this_thread::sleep_for(5ms)) {
    if (condition()) return true;
  }
  return condition();
}

// What a busy machine may prevent, but what is a proof when it happens once.
template <class Attempt>
bool in_one_of_several(Attempt attempt) {
  for (int i = 0; i < 20; ++i) {
    if (attempt()) return true;
  }
  return false;
}

// Whether the server wanted hardly any CPU while interval() passed, half a second or more. A thread that
// spins wants a whole one, however few it gets beside busy programs.
template <class Interval>
bool rested_while(const server_process& server, Interval interval) {
  constexpr double share = 0.2;  // of one CPU; some ten short awakenings may each wait for their turn
  const auto before = server.cpu_wanted();
  const auto begin = steady_clock::now();
  interval();
  const auto lasted = steady_clock::now() - begin;
  return server.cpu_wanted() - before < lasted * share;
}

// It may settle first: one quiet interval is enough, since a thread that spins has none.
template <class Interval>
bool rests_while(const server_process& server, Interval interval) {
  return in_one_of_several([&] { return rested_while(server, interval); });
}

// ---- fixtures ----

class conformance : public ::testing::TestWithParam<subject> {
protected:
  void SetUp() override {
    if (!GetParam().unavailable_reason.empty()) GTEST_SKIP() << GetParam().unavailable_reason;
  }

  // Ends the test when the variant serves a single client.
#define NEEDS_MANY_CLIENTS() \
  if (!GetParam().holds_many()) GTEST_SKIP() << "holds " << GetParam().holds

  static std::vector<std::string> arguments(std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"--variant", GetParam().variant, "--framing", GetParam().framing});
    return more;
  }
  server_process& serve(std::vector<std::string> more = {}, unsigned descriptors = 0) {
    peers_.clear();
    return server_.emplace(arguments(std::move(more)), descriptors);
  }
  client& connect(std::size_t address = 0) { return peers_.emplace_back(server_->address(address)); }
  std::vector<client*> connect_many(std::size_t n) {
    std::vector<client*> many(n);
    for (client*& each : many) each = &connect();
    return many;
  }
  static exchange message(std::size_t size, std::uint32_t seed) {
    return testing::message(GetParam().framing, size, seed);
  }
  static exchange messages(std::size_t count, std::size_t size, std::uint32_t seed = 1) {
    exchange all;
    for (std::size_t i = 0; i < count; ++i) all += message(size, seed + static_cast<std::uint32_t>(i));
    return all;
  }
  // All clients leave, the server stops.
  exit_report stop() {
    peers_.clear();
    return server_->stop();
  }
  // All clients leave, the server stops and counts these errors and no others.
  nlohmann::json expect_clean_stop(const nlohmann::json& errors = nlohmann::json::object()) {
    const exit_report report = stop();
    EXPECT_EQ(report.status, 0) << report.errors;
    EXPECT_EQ(report.errors, "");
    auto totals = report.totals();
    EXPECT_EQ(totals.at("event"), "stopped");
    EXPECT_EQ(totals.at("errors"), errors);
    return totals;
  }

private:
  std::optional<server_process> server_;
  std::list<client> peers_;
};

class frame_conformance : public conformance {};
class line_conformance : public conformance {};
class process_conformance : public conformance {};

INSTANTIATE_TEST_SUITE_P(variants, conformance, ::testing::ValuesIn(subjects({"frame", "line", "raw"})),
                         test_name);
INSTANTIATE_TEST_SUITE_P(variants, frame_conformance, ::testing::ValuesIn(subjects({"frame"})), test_name);
INSTANTIATE_TEST_SUITE_P(variants, line_conformance, ::testing::ValuesIn(subjects({"line"})), test_name);
INSTANTIATE_TEST_SUITE_P(variants, process_conformance, ::testing::ValuesIn(subjects({"frame"})), test_name);

// ---- the protocol, whatever the framing ----

TEST_P(conformance, one_message) {
  serve();
  client& peer = connect();
  const exchange e = message(64, 1);
  expect_exchange(peer, e);
  peer.finish();
  EXPECT_EQ(peer.receive_to_end(), "");
  const auto totals = expect_clean_stop();
  EXPECT_EQ(totals.at("accepted"), 1);
  EXPECT_EQ(totals.at("requests"), 1);
  EXPECT_EQ(totals.at("bytes_in"), e.request.size());
  EXPECT_EQ(totals.at("bytes_out"), e.reply.size());
}

TEST_P(conformance, many_in_one_write) {
  serve();
  client& peer = connect();
  expect_exchange(peer, messages(100, 64));
  expect_clean_stop();
}

TEST_P(conformance, byte_by_byte) {
  serve();
  client& peer = connect();
  const exchange e = messages(3, 20);
  for (const char c : e.request) peer.send({&c, 1});
  expect_same(peer.receive(e.reply.size()), e.reply);
  expect_clean_stop();
}

TEST_P(conformance, empty_payload) {
  serve();
  client& peer = connect();
  expect_exchange(peer, messages(3, 0) + message(5, 9) + message(0, 10));
  expect_clean_stop();
}

TEST_P(conformance, sizes_around_every_buffer) {
  serve();
  client& peer = connect();
  for (const std::size_t size :
       {1, 495, 496, 497, 511, 512, 513, 1000, 4096, 65'000, 65'519, 65'520, 65'535}) {
    expect_duplex(peer, message(size, static_cast<std::uint32_t>(size)));
  }
  expect_clean_stop();
}

TEST_P(conformance, largest_message) {
  serve();
  client& peer = connect();
  expect_duplex(peer, message(GetParam().framing == "line" ? 65'535 : 1 << 20, 3));
  expect_duplex(peer, message(64, 4));
  expect_clean_stop();
}

TEST_P(conformance, pipelining_64_deep_with_a_slow_reader) {
  serve();
  client& peer = connect();
  const exchange e = messages(64, 60'000);
  const auto sender = std::async(std::launch::async, [&] { peer.send(e.request); });
  std::this_thread::sleep_for(100ms);  // the reader is slow: everything on the way has time to fill
  bytes got;
  while (got.size() < e.reply.size()) {
    const std::size_t n = std::min<std::size_t>(100'000, e.reply.size() - got.size());
    got += peer.receive(n);
    std::this_thread::sleep_for(1ms);
  }
  expect_same(got, e.reply);
  expect_clean_stop();
}

TEST_P(conformance, half_close_drains_then_closes) {
  serve();
  client& peer = connect();
  const exchange e = messages(50, 2000);
  peer.send(e.request);
  peer.finish();
  expect_same(peer.receive_to_end(), e.reply);
  expect_clean_stop();
}

TEST_P(conformance, closes_at_once_when_nothing_was_sent) {
  serve();
  client& peer = connect();
  peer.finish();
  EXPECT_EQ(peer.receive_to_end(), "");
  expect_clean_stop();
}

TEST_P(conformance, reset_in_the_middle_of_a_message) {
  server_process& server = serve();
  client& peer = connect();
  expect_exchange(peer, message(10, 1));  // the server has it
  const std::size_t descriptors = server.descriptors() - 1;
  peer.send(message(1000, 2).request.substr(0, 700));
  peer.reset();
  EXPECT_TRUE(eventually([&] { return server.descriptors() == descriptors; }));
  client& next = connect();
  expect_exchange(next, message(64, 2));
  const auto totals = expect_clean_stop({{"reset", 1}});
  EXPECT_EQ(totals.at("accepted"), 2);
}

TEST_P(conformance, reset_by_a_peer_that_does_not_read) {
  serve();
  {
    client& peer = connect();
    const exchange e = messages(64, 60'000);
    std::size_t at = 0;
    while (peer.writable_within(200ms)) {  // not any more: the server has stopped reading
      const std::string_view rest = std::string_view(e.request).substr(at);
      const ssize_t n = ::send(peer.fd(), rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      ASSERT_GT(n, 0);
      at = (at + static_cast<std::size_t>(n)) % e.request.size();
    }
    peer.reset();
  }
  client& next = connect();
  expect_exchange(next, message(64, 2));
  EXPECT_EQ(stop().status, 0);
}

TEST_P(conformance, two_hundred_clients_at_once) {
  NEEDS_MANY_CLIENTS();
  serve();
  const std::vector<client*> peers = connect_many(200);
  for (std::uint32_t round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < peers.size(); ++i) peers[i]->send(message(100, i * 10 + round).request);
    for (std::uint32_t i = 0; i < peers.size(); ++i) {
      const exchange e = message(100, i * 10 + round);
      expect_same(peers[i]->receive(e.reply.size()), e.reply);
    }
  }
  EXPECT_EQ(expect_clean_stop().at("accepted"), 200);
}

TEST_P(conformance, stop_answers_what_was_received) {
  server_process& server = serve();
  client& peer = connect();
  expect_exchange(peer, message(64, 1));
  server.signal(SIGSTOP);  // so that the requests and the stop are there together
  const exchange e = messages(40, 1000, 2);
  peer.send(e.request);
  server.signal(SIGTERM);
  server.signal(SIGCONT);
  expect_same(peer.receive_to_end(), e.reply);
  peer.close();
  const exit_report report = server.wait();
  EXPECT_EQ(report.status, 0) << report.errors;
  EXPECT_EQ(report.totals().at("errors"), nlohmann::json::object());
}

TEST_P(conformance, stop_while_busy) {
  server_process& server = serve();
  client& peer = connect();
  const exchange e = messages(200, 5000);
  auto sender = std::async(std::launch::async, [&] {
    try {
      for (;;) peer.send(e.request);
    } catch (const std::system_error&) {
    }
  });
  ASSERT_TRUE(peer.readable_within(patience));
  bytes got;
  auto reader = std::async(std::launch::async, [&] {
    try {
      for (;;) {
        const bytes more = peer.receive(1000);
        got += more;
        if (more.size() < 1000) return;
      }
    } catch (const std::system_error&) {  // a reset, because the sender went on
    }
  });
  std::this_thread::sleep_for(50ms);
  server.signal(SIGINT);
  const exit_report report = server.wait();
  EXPECT_EQ(report.status, 0) << report.errors;
  reader.wait();
  sender.wait();
  ASSERT_GT(got.size(), 0U);
  for (std::size_t at = 0; at < got.size(); at += e.reply.size()) {
    const bytes part = got.substr(at, e.reply.size());
    ASSERT_TRUE(part == e.reply.substr(0, part.size())) << "near byte " << at;
  }
}

// ---- frame ----

TEST_P(frame_conformance, upper) {
  serve();
  client& peer = connect();
  expect_exchange(peer, frame("Hello, World! \x80\xff", 1, frame_op::upper));
  expect_duplex(peer, frame(text(300'000, 1), 2, frame_op::upper));
  expect_clean_stop();
}

TEST_P(frame_conformance, too_large_is_answered_and_closed) {
  serve({"--max-frame", "1000"});
  client& peer = connect();
  const exchange before = frame(text(1000, 1), 1);
  const exchange refusal = refused("", {.length = 1001, .sequence = 2}, frame_status::too_large);
  peer.send(before.request + refusal.request + text(1001, 3));
  expect_same(peer.receive_to_end(), before.reply + refusal.reply);
  expect_clean_stop({{"too_large", 1}});
}

TEST_P(frame_conformance, bad_version_is_answered_and_closed) {
  serve();
  client& peer = connect();
  const exchange refusal = refused("", {.length = 3, .version = 2, .sequence = 5}, frame_status::bad_version);
  peer.send(refusal.request + "abc" + frame("never answered", 6).request);
  expect_same(peer.receive_to_end(), refusal.reply);
  expect_clean_stop({{"bad_version", 1}});
}

TEST_P(frame_conformance, unknown_operation_is_answered_and_its_payload_skipped) {
  serve();
  client& peer = connect();
  const bytes skipped = text(200'000, 1);
  const frame_header unknown{
      .length = static_cast<std::uint32_t>(skipped.size()), .op = static_cast<frame_op>(9), .sequence = 1};
  expect_exchange(
      peer, frame("before", 0) + refused(skipped, unknown, frame_status::unknown_op) + frame("after", 2));
  expect_exchange(peer,
                  refused("", {.op = static_cast<frame_op>(255), .sequence = 3}, frame_status::unknown_op));
  expect_clean_stop({{"unknown_op", 2}});
}

TEST_P(frame_conformance, param_over_the_limit_is_refused) {
  serve({"--max-work", "10us", "--max-sleep", "20us"});
  client& peer = connect();
  const frame_header work{.length = 3, .op = frame_op::work, .param = 11, .sequence = 1};
  const frame_header sleep{.length = 3, .op = frame_op::sleep, .param = 21, .sequence = 2};
  expect_exchange(peer, refused("abc", work, frame_status::param_too_large) +
                            refused("abc", sleep, frame_status::param_too_large) +
                            frame("abc", 3, frame_op::work, 10us) + frame("abc", 4, frame_op::sleep, 20us));
  expect_clean_stop({{"param_too_large", 2}});
}

TEST_P(frame_conformance, a_short_frame_is_counted) {
  serve();
  client& peer = connect();
  const exchange whole = frame("whole", 1);
  peer.send(whole.request + frame(text(100, 2), 2).request.substr(0, 10));
  peer.finish();
  expect_same(peer.receive_to_end(), whole.reply);
  expect_clean_stop({{"short_input", 1}});
}

TEST_P(frame_conformance, work_and_sleep_are_carried_out_in_order) {
  serve();
  client& peer = connect();
  const auto begin = steady_clock::now();
  expect_exchange(peer, frame("a", 1) + frame("b", 2, frame_op::sleep, 20ms) +
                            frame(text(100'000, 3), 3, frame_op::work, 20ms) +
                            frame("d", 4, frame_op::work, 20ms, flag_offload) +
                            frame("e", 5, frame_op::sleep, 0us) + frame("f", 6, frame_op::work, 0us) +
                            frame("g", 7, frame_op::upper));
  EXPECT_GE(steady_clock::now() - begin, 60ms);
  expect_clean_stop();
}

TEST_P(frame_conformance, work_burns_cpu_and_sleep_does_not) {
  server_process& server = serve();
  client& peer = connect();
  EXPECT_TRUE(rests_while(server, [&] { expect_exchange(peer, frame("", 1, frame_op::sleep, 500ms)); }));
  const auto cpu = [&] { return *process_cpu_time(server.pid()); };
  const auto before = cpu();
  expect_exchange(peer, frame("", 2, frame_op::work, 200ms));
  EXPECT_TRUE(eventually([&] { return cpu() - before >= 190ms; }))
      << "the clock of a process is behind by a tick";
  expect_clean_stop();
}

TEST_P(frame_conformance, earlier_replies_come_before_a_sleep) {
  serve();
  client& peer = connect();
  const exchange early = frame("early", 1);
  const exchange late = frame("late", 2, frame_op::sleep, 300ms);
  EXPECT_TRUE(in_one_of_several([&] {
    const auto begin = steady_clock::now();
    peer.send(early.request + late.request);
    expect_same(peer.receive(early.reply.size()), early.reply);
    const auto early_after = steady_clock::now() - begin;
    expect_same(peer.receive(late.reply.size()), late.reply);
    EXPECT_GE(steady_clock::now() - begin, 300ms);
    return early_after < 300ms;
  }));
  expect_clean_stop();
}

TEST_P(frame_conformance, a_peer_may_leave_while_its_request_is_carried_out) {
  serve();
  {
    client& half_closed = connect();
    const exchange e = frame("x", 1, frame_op::sleep, 50ms);
    half_closed.send(e.request);
    half_closed.finish();
    expect_same(half_closed.receive_to_end(), e.reply);
  }
  for (const auto& [op, flags] :
       {std::pair(frame_op::sleep, 0), std::pair(frame_op::work, int{flag_offload})}) {
    client& gone = connect();
    gone.send(frame("x", 1, op, 50ms, static_cast<std::uint8_t>(flags)).request);
    gone.reset();
  }
  client& next = connect();
  expect_exchange(next, frame("still there", 2));
  EXPECT_EQ(stop().status, 0);
}

TEST_P(frame_conformance, sleep_delays_nobody_else) {
  NEEDS_MANY_CLIENTS();
  serve();
  client& sleeper = connect();
  client& other = connect();
  const exchange sleep = frame("zzz", 1, frame_op::sleep, 1s);
  EXPECT_TRUE(in_one_of_several([&] {
    sleeper.send(sleep.request);
    for (std::uint32_t i = 0; i < 5; ++i) expect_exchange(other, frame("awake", i));
    const bool overtaken = !sleeper.readable_within(0ms);
    expect_same(sleeper.receive(sleep.reply.size()), sleep.reply);
    return overtaken;
  }));
  expect_clean_stop();
}

TEST_P(frame_conformance, offloaded_work_delays_nobody_else) {
  NEEDS_MANY_CLIENTS();
  std::vector<std::string> options;
  if (GetParam().variant == "thread-pool") options = {"--threads", "2"};  // a worker works
  serve(options);
  client& worker = connect();
  client& other = connect();
  // After a sleep, so that it begins where the sleep ends: on a loop, in the models that have one.
  const std::uint8_t flags = GetParam().variant == "thread-pool" ? 0 : flag_offload;
  const exchange work = frame("", 0, frame_op::sleep, 1us) + frame("busy", 1, frame_op::work, 1s, flags);
  EXPECT_TRUE(in_one_of_several([&] {
    worker.send(work.request);
    for (std::uint32_t i = 0; i < 5; ++i) expect_exchange(other, frame("free", i));
    EXPECT_EQ(worker.receive(frame_header_size), work.reply.substr(0, frame_header_size));
    const bool overtaken = !worker.readable_within(0ms);
    expect_same(worker.receive(work.reply.size() - frame_header_size), work.reply.substr(frame_header_size));
    return overtaken;
  }));
  expect_clean_stop();
}

// Room for less than the stack of a thread, which is server_process::stack_size.
TEST_P(frame_conformance, offloaded_work_is_carried_out_when_no_thread_can_be_started) {
  server_process& server = serve({"--offload-threads", "2"});
  client& peer = connect();
  const exchange work = frame("work", 1, frame_op::work, 1us, flag_offload);
  expect_exchange(peer, frame("hello", 0));  // now all threads that serve it exist
  const std::size_t threads = server.threads();
  server.limit_address_space(server_process::stack_size / 2);
  expect_exchange(peer, work + frame("between", 2) + work);
  EXPECT_EQ(server.threads(), threads);
  server.unlimit_address_space();
  expect_exchange(peer, work);
  const bool offloads = server.threads() > threads;  // where a thread may block, it works itself
  expect_clean_stop(offloads ? nlohmann::json{{"offload", 2}} : nlohmann::json::object());
}

TEST_P(frame_conformance, offloaded_work_makes_do_with_the_threads_that_can_be_started) {
  server_process& server = serve({"--offload-threads", "4"});
  client& peer = connect();
  expect_exchange(peer, frame("hello", 0));
  const std::size_t threads = server.threads();
  server.limit_address_space(server_process::stack_size * 3 / 2);
  exchange work;
  for (std::uint32_t i = 0; i < 5; ++i) work += frame("work", i, frame_op::work, 1us, flag_offload);
  expect_exchange(peer, work);
  const bool offloads = server.threads() > threads;
  EXPECT_EQ(server.threads(), threads + (offloads ? 1 : 0));
  expect_clean_stop(offloads ? nlohmann::json{{"offload", 1}} : nlohmann::json::object());
}

TEST_P(frame_conformance, a_thousand_half_sent_frames_cost_bounded_memory) {
  NEEDS_MANY_CLIENTS();
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "ThreadSanitizer itself takes more than a megabyte for each thread";
#endif
  constexpr std::size_t clients = 1000;
  constexpr std::size_t sent = 300'000;  // of 1 MiB; the replies are not read
  server_process& server = serve();
  const std::size_t before = server.resident_bytes();
  std::vector<client*> peers;
  const bytes half = frame(text(1 << 20, 1), 1).request.substr(0, frame_header_size + sent);
  for (std::size_t i = 0; i < clients; ++i) {
    peers.push_back(&connect());
    peers.back()->send(half);
  }
  peers.back()->receive(frame_header_size + 1000);  // the server has come so far
  const std::size_t used = server.resident_bytes() - before;
  const std::size_t bound = clients * (64 * 1024 + 16 * 1024) * (sanitized ? 4 : 1);
  EXPECT_LT(used, bound) << used / clients << " bytes for each";
  EXPECT_EQ(stop().status, 0);
}

TEST_P(frame_conformance, what_was_burnt_is_told) {
  for (const auto& [burn, at_least] :
       {std::pair("0s", 0ns), std::pair("200ns", 20'000ns), std::pair("100us", 10'000'000ns)}) {
    serve({"--burn", burn});
    exchange hundred;
    for (std::uint32_t i = 0; i < 100; ++i) hundred += frame("burn", i);
    expect_exchange(connect(), hundred);
    const auto burnt = std::chrono::nanoseconds(expect_clean_stop().at("burnt_ns").get<std::int64_t>());
    EXPECT_EQ(burnt > 0ns, at_least > 0ns) << burn;
    EXPECT_GE(burnt, at_least) << burn;
  }
}

// ---- line ----

TEST_P(line_conformance, an_unterminated_last_line_is_answered_as_it_is) {
  serve({"--service", "upper"});
  client& peer = connect();
  peer.send("first\nlast");
  peer.finish();
  EXPECT_EQ(peer.receive_to_end(), "FIRST\nLAST");
  EXPECT_EQ(expect_clean_stop().at("requests"), 2);
}

TEST_P(line_conformance, is_answered_line_by_line) {
  serve();
  client& peer = connect();
  peer.send("whole\nhalf");
  EXPECT_EQ(peer.receive(6), "whole\n");
  EXPECT_FALSE(peer.readable_within(50ms)) << "half a line was answered";
  peer.send(" and half\n");
  EXPECT_EQ(peer.receive(14), "half and half\n");
  expect_clean_stop();
}

TEST_P(line_conformance, too_long_is_counted_and_closed) {
  serve();
  client& peer = connect();
  peer.send("fine\n");
  peer.send(text(65'536, 1));
  EXPECT_EQ(peer.receive_to_end(), "fine\n");
  expect_clean_stop({{"line_too_long", 1}});
}

// ---- the process ----

TEST_P(process_conformance, says_what_it_listens_on) {
  server_process& server = serve({"--bind", "127.0.0.1", "--bind", "::1"});
  const auto& line = server.listening();
  EXPECT_EQ(line.at("event"), "listening");
  EXPECT_EQ(line.at("variant"), GetParam().variant);
  EXPECT_EQ(line.at("pid"), server.pid());
  ASSERT_EQ(line.at("addresses").size(), 2U);
  EXPECT_EQ(server.address(0).port(), server.address(1).port()) << "port 0 is resolved once";
  EXPECT_EQ(server.address(1).to_string().rfind("[::1]:", 0), 0U);
  for (const std::size_t address : {0, 1}) {
    client& peer = connect(address);
    expect_exchange(peer, frame("hello", 1));
    peer.close();
  }
  expect_clean_stop();
}

// How many sockets listen on this port of 127.0.0.1 (proc(5): ports in hexadecimal, state 0A).
std::size_t listening_sockets(std::uint16_t port) {
  std::ifstream table("/proc/net/tcp");
  std::array<char, 16> wanted{};
  std::snprintf(wanted.data(), wanted.size(), "0100007F:%04X", port);
  std::size_t found = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields(line);
    std::string number;
    std::string local;
    std::string remote;
    std::string state;
    fields >> number >> local >> remote >> state;
    if (local == wanted.data() && state == "0A") ++found;
  }
  return found;
}

TEST_P(process_conformance, says_among_how_many_queues_connections_are_divided) {
  EXPECT_EQ(serve().listening().at("loops"), 1);
  expect_clean_stop();
  server_process& server = serve({"--threads", "3", "--bind", "127.0.0.1", "--bind", "::1"});
  if (server.listening().is_null()) return;  // of this variant there is one thread
  EXPECT_EQ(server.listening().at("loops"), listening_sockets(server.address().port()));
  expect_clean_stop();
}

TEST_P(process_conformance, says_what_it_was_built_from) {
  const nlohmann::json expected{{"version", build_info::version},
                                {"commit", build_info::commit},
                                {"dirty", build_info::dirty},
                                {"compiler", build_info::compiler},
                                {"flags", build_info::flags}};
  EXPECT_EQ(serve().listening().at("build"), expected);
  expect_clean_stop();
}

TEST_P(process_conformance, the_same_port_twice_is_refused) {
  server_process& server = serve();
  const std::string port = std::to_string(server.address().port());
  server_process second(arguments({"--port", port}));
  const exit_report report = second.wait();
  EXPECT_EQ(report.status, 1);
  EXPECT_NE(report.errors.find("127.0.0.1:" + port), std::string::npos) << report.errors;
  EXPECT_NE(report.errors.find("in use"), std::string::npos) << report.errors;
  client& peer = connect();
  expect_exchange(peer, frame("the first still serves", 1));
  expect_clean_stop();
}

TEST_P(process_conformance, stop_while_idle) {
  server_process& server = serve();
  std::vector<client*> peers;
  for (int i = 0; i < (GetParam().holds_many() ? 20 : 1); ++i) {
    peers.push_back(&connect());
    expect_exchange(*peers.back(), frame("hello", 1));
  }
  server.signal(SIGTERM);
  for (client* peer : peers) {
    EXPECT_EQ(peer->receive_to_end(), "");
    peer->close();
  }
  EXPECT_EQ(server.wait().status, 0);
}

// Lingering and draining end in the same moment.
TEST_P(process_conformance, stop_with_a_client_that_stays) {
  server_process& server = serve({"--drain-timeout", "1s"});
  client& peer = connect();
  expect_exchange(peer, frame("hello", 1));
  const exit_report report = server.stop();
  EXPECT_EQ(report.status, 0) << report.errors;
  EXPECT_EQ(report.totals().at("errors"), nlohmann::json::object()) << "it was answered and flushed";
}

TEST_P(process_conformance, stop_waits_for_a_sleep_that_ends_in_time) {
  server_process& server = serve();
  client& peer = connect();
  const exchange e = frame("dream", 1, frame_op::sleep, 300ms);
  expect_exchange(peer, frame("hello", 0));
  peer.send(e.request);
  std::this_thread::sleep_for(50ms);  // so that it has begun
  server.signal(SIGTERM);
  expect_same(peer.receive_to_end(), e.reply);
  peer.close();
  const exit_report report = server.wait();
  EXPECT_EQ(report.status, 0);
  EXPECT_EQ(report.totals().at("errors"), nlohmann::json::object());
}

TEST_P(process_conformance, stop_does_not_wait_beyond_the_drain_timeout) {
  for (const auto& [op, flags] : {std::pair(frame_op::sleep, 0), std::pair(frame_op::work, 0),
                                  std::pair(frame_op::work, int{flag_offload})}) {
    server_process& server = serve({"--drain-timeout", "200ms", "--max-sleep", "1h", "--max-work", "1h"});
    client& peer = connect();
    expect_exchange(peer, frame("hello", 0));
    peer.send(frame("long", 1, op, 1h, static_cast<std::uint8_t>(flags)).request);
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(server.stop().status, 0);
  }
}

TEST_P(process_conformance, stop_does_not_wait_for_a_peer_that_does_not_read) {
  server_process& server = serve({"--drain-timeout", "200ms"});
  client& peer = connect();
  auto sender = std::async(std::launch::async, [&] {
    const exchange e = frame(text(1 << 20, 1), 1);
    try {
      for (;;) peer.send(e.request);
    } catch (const std::system_error&) {
    }
  });
  std::this_thread::sleep_for(100ms);
  const exit_report report = server.stop();
  EXPECT_EQ(report.status, 0);
  auto errors = report.totals().at("errors");
  errors.erase("drain_timeout");  // there is none when the system's buffers took the last replies
  EXPECT_EQ(errors, nlohmann::json::object());
  sender.wait();
}

TEST_P(process_conformance, uses_no_cpu_while_idle) {
  server_process& server = serve();
  std::vector<client*> peers;
  for (int i = 0; i < (GetParam().holds_many() ? 50 : 1); ++i) {
    peers.push_back(&connect());
    expect_exchange(*peers.back(), frame("hello", 1));
  }
  EXPECT_TRUE(rests_while(server, [] { std::this_thread::sleep_for(500ms); }));
  expect_clean_stop();
}

TEST_P(process_conformance, descriptors_and_threads_return_to_where_they_began) {
  server_process& server = serve();
  {
    client& first = connect();  // what is started once, with the first client
    expect_exchange(first, frame("hello", 0, frame_op::work, 1us, flag_offload));
    first.close();
  }
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  EXPECT_TRUE(eventually([&] {
    const auto was = std::pair(descriptors, threads);
    descriptors = server.descriptors();
    threads = server.threads();
    std::this_thread::sleep_for(50ms);
    return was == std::pair(descriptors, threads);
  }));
  for (int i = 0; i < 60; ++i) {
    client& peer = connect();
    expect_exchange(peer, frame("hello", 1));
    if (i % 3 == 0) peer.reset();
    if (i % 3 == 1) {
      peer.finish();
      EXPECT_EQ(peer.receive_to_end(), "");
    }
    if (i % 3 != 0) peer.close();
  }
  EXPECT_TRUE(eventually([&] { return server.descriptors() <= descriptors && server.threads() <= threads; }))
      << server.descriptors() << " descriptors, were " << descriptors << "; " << server.threads()
      << " threads, were " << threads;
  EXPECT_EQ(stop().status, 0);
}

TEST_P(process_conformance, waits_for_descriptors_without_spinning) {
  NEEDS_MANY_CLIENTS();
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends a process that has no descriptor left when it starts a thread";
#endif
  server_process& server = serve({}, sanitized ? 40 : 30);
  const std::vector<client*> peers = connect_many(60);
  for (client* peer : peers) peer->send(frame("hello", 1).request);
  EXPECT_TRUE(rests_while(server, [] { std::this_thread::sleep_for(500ms); }));
  for (client* peer : peers) {  // each that leaves makes room for another
    EXPECT_EQ(peer->receive(21), frame("hello", 1).reply);
    peer->close();
  }
  const exit_report report = server.stop();
  EXPECT_EQ(report.status, 0);
  EXPECT_EQ(report.totals().at("accepted"), 60);
  EXPECT_GT(report.totals().at("errors").at("accept"), 0);
}

TEST_P(process_conformance, holds_no_more_than_max_connections) {
  NEEDS_MANY_CLIENTS();
  serve({"--max-connections", "3"});
  std::vector<client*> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(&connect());
    peers.back()->send(frame("hello", 1).request);
  }
  EXPECT_TRUE(peers[2]->readable_within(patience));
  EXPECT_FALSE(peers[3]->readable_within(300ms));
  for (client* peer : peers) {
    EXPECT_EQ(peer->receive(21), frame("hello", 1).reply);
    peer->close();
  }
  expect_clean_stop();
}

TEST_P(process_conformance, closes_idle_connections_when_asked_to) {
  server_process& server = serve({"--idle-timeout", "1s"});
  int closed = 0;
  const auto served_while_active_or_asleep = [&] {
    client& peer = connect();
    const auto answered = [&peer](const exchange& e) {
      peer.send(e.request);
      return peer.receive(e.reply.size()) == e.reply;
    };
    bool served = true;
    try {
      for (std::uint32_t i = 0; i < 30 && served; ++i) {
        served = answered(frame("active", i));
        std::this_thread::sleep_for(50ms);  // on a busy machine it may be a second
      }
      const exchange asleep = frame("not idle", 30, frame_op::sleep, 1500ms);
      served = served && rested_while(server, [&] { served = answered(asleep); }) && served;
      EXPECT_EQ(peer.receive_to_end(), "");
    } catch (const std::system_error&) {  // it was closed before the request came
      served = false;
    }
    peer.close();
    ++closed;
    return served;
  };
  EXPECT_TRUE(in_one_of_several(served_while_active_or_asleep));
  expect_clean_stop({{"idle_timeout", closed}});
}

TEST_P(process_conformance, threads_serve_together) {
  server_process& server = serve({"--threads", "3"});
  if (server.listening().is_null()) {
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 2);
    EXPECT_NE(report.errors.find("--threads"), std::string::npos) << report.errors;
    return;
  }
  const std::vector<client*> peers = connect_many(30);
  for (client* peer : peers) expect_exchange(*peer, frame(text(1000, 1), 1));
  EXPECT_EQ(expect_clean_stop().at("accepted"), 30);
}

// ---- the command line ----

struct refusal {
  std::vector<std::string> arguments;
  std::string named;
};

TEST(command_line, mistakes_are_named) {
  for (const auto& [arguments, named] :
       std::vector<refusal>{{{}, "--variant"},
                            {{"--variant", "nope"}, "nope"},
                            {{"--variant", "epoll", "--port", "65536"}, "--port"},
                            {{"--variant", "epoll", "--threads", "0"}, "--threads"},
                            {{"--variant", "epoll", "--threads", "-1"}, "--threads"},
                            {{"--variant", "epoll", "--framing", "morse"}, "--framing"},
                            {{"--variant", "epoll", "--service", "upper"}, "--service"},
                            {{"--variant", "epoll", "--max-sleep", "10"}, "--max-sleep"},
                            {{"--variant", "epoll", "--cpus", "x"}, "--cpus"},
                            {{"--variant", "epoll", "--frobnicate"}, "--frobnicate"},
                            {{"--variant", "epoll", "stray"}, "stray"}}) {
    server_process server(arguments);
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 2) << named;
    EXPECT_NE(report.errors.find(named), std::string::npos) << report.errors;
    EXPECT_EQ(std::count(report.errors.begin(), report.errors.end(), '\n'), 1) << report.errors;
  }
}

TEST(command_line, what_cannot_be_done_here_is_named) {
  for (const auto& [arguments, named] : std::vector<refusal>{
           {{"--variant", "epoll", "--bind", "203.0.113.1"}, "203.0.113.1"},
           {{"--variant", "epoll", "--bind", "no.such.host.invalid"}, "no.such.host.invalid"},
           {{"--variant", "epoll", "--cpus", "1023"}, "1023"}}) {
    server_process server(arguments);
    const exit_report report = server.wait();
    EXPECT_EQ(report.status, 1) << named;
    EXPECT_NE(report.errors.find(named), std::string::npos) << report.errors;
  }
}

TEST(command_line, every_option_has_help) {
  server_process helper({"--help"});
  EXPECT_EQ(helper.wait().status, 0);
}

}  // namespace
}  // namespace echobench::testing
