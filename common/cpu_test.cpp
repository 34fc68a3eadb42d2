#include "common/cpu.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <stdexcept>
#include <thread>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(cpu, lists_parse_and_format) {
  EXPECT_EQ(parse_cpu_list("0"), cpu_list({0}));
  EXPECT_EQ(parse_cpu_list("3,0-1,1"), cpu_list({0, 1, 3}));
  EXPECT_EQ(format_cpu_list({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  EXPECT_EQ(format_cpu_list({}), "");
  for (const char* text : {"", ",", "0,", "a", "1-", "-1", "2-1", "99999999", "0;1"}) {
    EXPECT_EQ(parse_cpu_list(text), std::nullopt) << text;
  }
}

TEST(cpu, restriction_holds_for_the_thread_that_asked) {
  const cpu_list before = allowed_cpus();
  ASSERT_FALSE(before.empty());
  std::thread([&] {
    restrict_to_cpus({before.back()});
    EXPECT_EQ(allowed_cpus(), cpu_list({before.back()}));
  }).join();
  EXPECT_EQ(allowed_cpus(), before);
}

TEST(cpu, a_restriction_to_a_missing_cpu_names_it_and_changes_nothing) {
  const cpu_list before = allowed_cpus();
  for (const cpu_list& cpus : {cpu_list{1023}, cpu_list{before.front(), 1022, 1023}}) {
    try {
      restrict_to_cpus(cpus);
      ADD_FAILURE() << "CPU 1023 was accepted among " << format_cpu_list(cpus);
    } catch (const std::runtime_error& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find(cpus.size() == 1 ? "CPU 1023: " : "CPU 1022-1023: "), std::string::npos) << text;
      EXPECT_NE(text.find("this process may use CPU "), std::string::npos) << text;
    }
    EXPECT_EQ(allowed_cpus(), before);
  }
}

TEST(cpu, time_advances_with_work) {
  std::this_thread::sleep_for(1ms);  // brings the process clock up to date
  const auto process_before = process_cpu_time(::getpid());
  ASSERT_TRUE(process_before);
  const auto thread_before = thread_cpu_time();
  while (thread_cpu_time() - thread_before < 5ms) {
  }
  std::this_thread::sleep_for(1ms);
  EXPECT_GE(*process_cpu_time(::getpid()) - *process_before, 4ms);
  EXPECT_EQ(process_cpu_time(-1), std::nullopt);
}

}  // namespace
}  // namespace echobench
