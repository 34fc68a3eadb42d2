#include "servers/conformance/conformance.hpp"

#include <algorithm>
#include <csignal>

namespace echobench::testing {

std::map<std::string, std::shared_ptr<server_process>> conformance::shared_;

void conformance::SetUp() {
  if (const std::string reason = why_unavailable(GetParam()); !reason.empty()) GTEST_SKIP() << reason;
}

std::size_t conformance::at_once(std::size_t n) {
  constexpr std::size_t threads = 20;
  if (GetParam().holds == "one") return 1;
  return GetParam().holds == "threads" && sanitized ? std::min(n, threads) : n;
}

arguments conformance::clients(std::size_t n, arguments more) {
  if (GetParam().holds == "threads") more.insert(more.end(), {"--threads", std::to_string(n)});
  return more;
}

arguments conformance::command(const arguments& more) {
  arguments all = GetParam().command;
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

server_process& conformance::serve(const arguments& more, unsigned descriptors) {
  peers_.clear();
  server_ = std::make_shared<server_process>(command(more), descriptors);
  return *server_;
}

server_process& conformance::share() {
  auto& server = shared_[::testing::PrintToString(GetParam())];
  if (server == nullptr) server = std::make_shared<server_process>(command());
  server_ = server;
  return *server_;
}

void conformance::TearDown() {
  peers_.clear();
  if (HasFailure()) shared_.erase(::testing::PrintToString(GetParam()));
}

void conformance::TearDownTestSuite() {
  for (const auto& [name, server] : shared_) server->signal(SIGTERM);
  for (const auto& [name, server] : shared_) {
    const auto totals = expect_end(server->wait());
    EXPECT_EQ(totals.value("errors", nlohmann::json::object()), nlohmann::json::object()) << name;
  }
  shared_.clear();
}

std::vector<client*> conformance::connect_many(std::size_t n) {
  std::vector<client*> many(n);
  for (client*& peer : many) peer = &connect();
  return many;
}

std::size_t conformance::send_until_unread(client& peer, const exchange& e) {
  std::size_t sent = 0;
  while (peer.writable_within(50ms)) {
    sent += peer.send_some(std::string_view(e.request).substr(sent % e.request.size()));
  }
  return sent;
}

exchange conformance::messages(std::size_t count, std::size_t size, std::uint32_t seed) {
  exchange all;
  for (std::size_t i = 0; i < count; ++i) all += message(size, seed + static_cast<std::uint32_t>(i));
  return all;
}

exit_report conformance::stop() {
  peers_.clear();
  return server_->stop();
}

nlohmann::json conformance::expect_end(const exit_report& report) {
  EXPECT_EQ(report.status, 0) << report.errors;
  EXPECT_EQ(report.errors, "");
  EXPECT_FALSE(report.left_processes);
  auto totals = report.totals();
  EXPECT_EQ(totals.at("event"), "stopped");
  return totals;
}

nlohmann::json conformance::expect_end(const exit_report& report, const nlohmann::json& errors) {
  auto totals = expect_end(report);
  if (GetParam().ours) {
    EXPECT_EQ(totals.at("errors"), errors);
  }
  return totals;
}

std::string test_name(const ::testing::TestParamInfo<subject>& info) {
  std::string name = info.param.name + "_" + info.param.framing;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace echobench::testing
