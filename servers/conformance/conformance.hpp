// For tests: one server, its clients, and what is expected of its end. A suite derives its fixture from
// this, and is instantiated with the servers that it is about.
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
  // Ends the test where a single client is served at a time.
#define NEEDS_SEVERAL_CLIENTS() \
  if (!holds_several()) GTEST_SKIP() << "holds one client"

  // How many of n clients it can be asked to hold. A thread or a process for each of hundreds is more than a
  // sanitizer's memory allows.
  static std::size_t at_once(std::size_t n);
  // The arguments with which it holds so many.
  static arguments clients(std::size_t n, arguments more = {});

  static arguments command(const arguments& more = {});
  server_process& serve(const arguments& more = {}, unsigned descriptors = 0);
  // A server for several cases of a suite, which do not stop it: to start one takes longer than most of them.
  server_process& share();
  void TearDown() override;
  static void TearDownTestSuite();
  server_process& server() { return *server_; }
  client& connect(std::size_t address = 0) { return peers_.emplace_back(server_->address(address)); }
  std::vector<client*> connect_many(std::size_t n);

  static exchange message(std::size_t size, std::uint32_t seed) {
    return testing::message(GetParam().framing, size, seed);
  }
  static exchange messages(std::size_t count, std::size_t size, std::uint32_t seed = 1);

  void disconnect() { peers_.clear(); }
  // All clients leave, the server stops.
  exit_report stop();
  // The server ends as it should. Returns what it has counted.
  static nlohmann::json expect_end(const exit_report& report);
  // The same; and it has counted these errors and no others, if it counts any.
  static nlohmann::json expect_end(const exit_report& report, const nlohmann::json& errors);
  // All clients leave, the server stops, having counted these errors and no others.
  nlohmann::json expect_clean_stop(const nlohmann::json& errors = nlohmann::json::object()) {
    return expect_end(stop(), errors);
  }

private:
  static std::map<std::string, std::shared_ptr<server_process>> shared_;  // by subject
  std::shared_ptr<server_process> server_;
  std::list<client> peers_;
};

std::string test_name(const ::testing::TestParamInfo<subject>& info);

// The servers of a suite: every variant in each of these framings.
#define FOR_VARIANTS(suite, ...)                                                               \
  INSTANTIATE_TEST_SUITE_P(variants, suite,                                                    \
                           ::testing::ValuesIn(::echobench::testing::variants({__VA_ARGS__})), \
                           ::echobench::testing::test_name)
// The same, and the servers in other runtimes: where no option of echo-server is needed.
#define FOR_SERVERS(suite, ...)                                                         \
  FOR_VARIANTS(suite, __VA_ARGS__);                                                     \
  INSTANTIATE_TEST_SUITE_P(other_runtimes, suite,                                       \
                           ::testing::ValuesIn(::echobench::testing::other_runtimes()), \
                           ::echobench::testing::test_name)

}  // namespace echobench::testing
