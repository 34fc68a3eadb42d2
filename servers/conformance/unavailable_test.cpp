// A server that cannot run here prints why; its other tests are skipped.
#include "common/process.hpp"
#include "servers/conformance/conformance.hpp"

#include <algorithm>

namespace echobench::testing {
namespace {

class unavailable : public ::testing::TestWithParam<subject> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(unavailable);
INSTANTIATE_TEST_SUITE_P(variants, unavailable, ::testing::ValuesIn(unavailable_variants()), test_name);

TEST_P(unavailable, ends_with_the_reason) {
  server_process server(GetParam().command);
  EXPECT_TRUE(server.listening().is_null());
  const exit_report report = server.wait();
  EXPECT_EQ(report.status, exit_unavailable);
  EXPECT_NE(report.errors.find(GetParam().unavailable_reason), std::string::npos) << report.errors;
  EXPECT_EQ(std::count(report.errors.begin(), report.errors.end(), '\n'), 1) << report.errors;
}

#ifdef ECHOBENCH_BUILD
TEST(unavailable_runtime, ends_with_the_reason) {
  server_process server(
      {"/usr/bin/python3", "-S", "servers/other_runtimes/uvloop_protocol.py"});  // sees no packages
  const exit_report report = server.wait();
  EXPECT_EQ(report.status, exit_unavailable);
  EXPECT_NE(report.errors.find("python3-uvloop is not installed"), std::string::npos) << report.errors;
}
#endif

}  // namespace
}  // namespace echobench::testing
