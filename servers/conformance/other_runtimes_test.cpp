// What the servers in other runtimes once did otherwise than ours.
#include "common/process.hpp"
#include "servers/conformance/conformance.hpp"

#include <algorithm>

namespace echobench::testing {
namespace {

class runtimes : public conformance {};
FOR_SERVERS(runtimes, "raw");

TEST_P(runtimes, count_what_they_served_to_clients_that_stay_until_the_end) {
  serve(clients(at_once(5)));
  const exchange e = message(100, 1);
  const std::vector<client*> peers = connect_many(at_once(5));
  for (client* peer : peers) expect_exchange(*peer, e);
  const auto totals = expect_end(server().stop());
  EXPECT_EQ(totals.at("bytes_in"), peers.size() * e.request.size());
  EXPECT_EQ(totals.at("bytes_out"), peers.size() * e.reply.size());
}

// Some let clients wait for a descriptor, and others close them.
TEST_P(runtimes, that_lack_descriptors_neither_spin_nor_fill_a_log) {
  if (GetParam().ours) GTEST_SKIP() << "has a test of its own";
  serve({}, 40);
  connect_many(60);
  EXPECT_TRUE(rests_while(server(), [] { std::this_thread::sleep_for(quiet_time); }));
  const exit_report report = stop();
  EXPECT_EQ(report.status, exit_ok);
  EXPECT_LE(std::ranges::count(report.errors, '\n'), 1) << report.errors.substr(0, 1000);
}

TEST_P(runtimes, that_cannot_print_fail) {
  arguments full{"/bin/sh", "-c", "exec \"$0\" \"$@\" >/dev/full"};
  for (const std::string& part : command()) full.push_back(part);
  server_process server(full);
  const exit_report report = server.wait();
  EXPECT_EQ(report.status, exit_failed);
  EXPECT_NE(report.errors.find("cannot write to standard output"), std::string::npos) << report.errors;
  EXPECT_EQ(std::ranges::count(report.errors, '\n'), 1) << report.errors;
}

}  // namespace
}  // namespace echobench::testing
