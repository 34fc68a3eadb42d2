#include "common/units.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(units, counts) {
  EXPECT_EQ(parse_count("0"), 0U);
  EXPECT_EQ(parse_count("10k"), 10'000U);
  EXPECT_EQ(parse_count("64Ki"), 65'536U);
  EXPECT_EQ(parse_count("1.5M"), 1'500'000U);
  EXPECT_EQ(parse_count("1Mi"), 1U << 20);
  EXPECT_EQ(parse_count("2G"), 2'000'000'000U);
  EXPECT_EQ(parse_count("18446744073709551615"), 18'446'744'073'709'551'615U);
}

TEST(units, refuses_what_is_not_a_count) {
  for (const char* text : {"", "k", "-1", "+1", " 1", "1 ", "1,000", "1.", ".5", "1.5", "1e3", "0x10", "1K",
                           "1kk", "1.2.3", "18446744073709551616", "99999999999G", "nan"}) {
    EXPECT_EQ(parse_count(text), std::nullopt) << text;
  }
}

TEST(units, durations_are_exact) {
  EXPECT_EQ(parse_duration("0"), 0ns);
  EXPECT_EQ(parse_duration("250us"), 250us);
  EXPECT_EQ(parse_duration("30s"), 30s);
  EXPECT_EQ(parse_duration("0.3s"), 300ms);
  EXPECT_EQ(parse_duration("1.000000001s"), 1'000'000'001ns);
  EXPECT_EQ(parse_duration("5m"), 5min);
  EXPECT_EQ(parse_duration("1h"), 1h);
}

TEST(units, refuses_what_is_not_a_duration) {
  for (const char* text : {"", "s", "10", "-1s", "1 s", "0.1ns", "1.5", "9999999999999h", "1sec"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(units, formatted_text_parses_back) {
  EXPECT_EQ(format_count(10'000), "10k");
  EXPECT_EQ(format_count(65'536), "64Ki");
  EXPECT_EQ(format_count(123), "123");
  EXPECT_EQ(format_duration(1500us), "1500us");
  EXPECT_EQ(format_duration(10s), "10s");
  EXPECT_EQ(format_duration(0ns), "0");
  for (const std::uint64_t value : {0ULL, 1ULL, 999ULL, 1000ULL, 1024ULL, 1'000'001ULL, 1ULL << 40}) {
    EXPECT_EQ(parse_count(format_count(value)), value);
    EXPECT_EQ(parse_duration(format_duration(std::chrono::nanoseconds(value))),
              std::chrono::nanoseconds(value));
  }
}

TEST(units, a_number_for_people_has_its_thousands_apart) {
  EXPECT_EQ(format_grouped(0.4), "0");
  EXPECT_EQ(format_grouped(999.5), "1,000");
  EXPECT_EQ(format_grouped(1234567), "1,234,567");
  EXPECT_EQ(format_grouped(-123), "-123");
  EXPECT_EQ(format_grouped(-1234), "-1,234");
}

}  // namespace
}  // namespace echobench
