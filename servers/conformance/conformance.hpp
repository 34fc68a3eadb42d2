// For tests: one server, its clients, and how the server must end. A suite derives its fixture from this, and
// is instantiated with the servers that it tests.
#pragma once

#include "servers/conformance/exchange.hpp"
#include "servers/conformance/server_process.hpp"
#include "servers/conformance/subjects.hpp"
#include "servers/conformance/waiting.hpp"

#include <gtest/gtest.h>

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace echobench::testing {

class conformance : public ::testing::TestWithParam<subject> {
protected:
  void SetUp() override;  // skips what cannot run here

  static bool holds_several() { return GetParam().holds != "one"; }
  // Ends the test if the server serves a single client at a time.
#define NEEDS_SEVERAL_CLIENTS() \
  if (!holds_several()) GTEST_SKIP() << "holds one client"

  // Ends the test if a thread that waits in accept(2) does not keep the descriptor that is reserved there.
#define NEEDS_RESERVED_DESCRIPTORS()                    \
  if (thread_sanitized && GetParam().name == "prefork") \
  GTEST_SKIP() << "for ThreadSanitizer a timer ends accept(2) (stop_on_signal.hpp)"

  // How many of n clients the server can be asked to hold: hundreds of threads or processes need more memory
  // than there is with a sanitizer.
  static std::size_t at_once(std::size_t n);
  // The arguments with which the server holds n clients.
  static arguments clients(std::size_t n, arguments more = {});

  static arguments command(const arguments& more = {});
  server_process& serve(const arguments& more = {}, unsigned descriptors = 0);
  // A server for several tests of a suite, which do not stop it: starting one takes longer than most tests.
  server_process& share();
  void TearDown() override;
  static void TearDownTestSuite();
  server_process& server() { return *server_; }
  client& connect(std::size_t address = 0) { return peers_.emplace_back(server_->address(address)); }
  // One that will not read for a while.
  client& connect_slow_reader() { return peers_.emplace_back(server_->address(0), buffers::small); }
  std::vector<client*> connect_many(std::size_t n);
  // Sends the request again and again, until the server has stopped reading. Returns how many bytes were
  // sent.
  static std::size_t send_until_unread(client& peer, const exchange& e);

  static exchange message(std::size_t size, std::uint32_t seed) {
    return testing::message(GetParam().framing, size, seed);
  }
  static exchange messages(std::size_t count, std::size_t size, std::uint32_t seed = 1);

  void disconnect() { peers_.clear(); }
  // All clients leave, the server stops.
  exit_report stop();
  // Expects that the server ended without an error. Returns what it has counted.
  static nlohmann::json expect_end(const exit_report& report);
  // The same; and that it counted these errors and no others, if it counts errors at all.
  static nlohmann::json expect_end(const exit_report& report, const nlohmann::json& errors);
  // All clients leave and the server stops; expects that it counted these errors and no others.
  nlohmann::json expect_clean_stop(const nlohmann::json& errors = nlohmann::json::object()) {
    return expect_end(stop(), errors);
  }

private:
  static std::map<std::string, std::shared_ptr<server_process>> shared_;  // by subject
  std::shared_ptr<server_process> server_;
  std::list<client> peers_;
};

std::string test_name(const ::testing::TestParamInfo<subject>& info);

// Instantiates a suite with every variant in each of these framings.
#define FOR_VARIANTS(suite, ...)                                                               \
  INSTANTIATE_TEST_SUITE_P(variants, suite,                                                    \
                           ::testing::ValuesIn(::echobench::testing::variants({__VA_ARGS__})), \
                           ::echobench::testing::test_name)
// The same, and with the servers in other runtimes: for suites that need no option of echo-server.
#define FOR_SERVERS(suite, ...)                                                         \
  FOR_VARIANTS(suite, __VA_ARGS__);                                                     \
  INSTANTIATE_TEST_SUITE_P(other_runtimes, suite,                                       \
                           ::testing::ValuesIn(::echobench::testing::other_runtimes()), \
                           ::echobench::testing::test_name)

}  // namespace echobench::testing
