#include "loadgen/plan/rate_spec.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(rate_spec, texts_are_parsed_and_written_alike) {
  for (const char* text : {"p99=1ms", "p50=250us", "p99.999=2s", "p99=1ms,p99.9=5ms,p75=300us"}) {
    EXPECT_EQ(format_objectives(parse_objectives(text)), text);
  }
  for (const char* text : {"10%..95%/9", "1%..200%/1000", "2.5%..97.5%/2"}) {
    EXPECT_EQ(format_sweep(parse_sweep(text)), text);
  }
  EXPECT_EQ(
      parse_objectives("p99=1ms,p99.9=5ms"),
      (std::vector<latency_objective>{{.percent = 99, .at_most = 1ms}, {.percent = 99.9, .at_most = 5ms}}));
  EXPECT_EQ(parse_sweep("20%..80%"), (rate_sweep{.low = 20, .high = 80, .steps = 10}));
}

TEST(rate_spec, a_sweep_is_equally_spaced_and_includes_both_ends) {
  EXPECT_THAT(parse_sweep("10%..90%/5").percents(), testing::ElementsAre(10, 30, 50, 70, 90));
  EXPECT_THAT(parse_sweep("1%..2%/2").percents(), testing::ElementsAre(1, 2));
  const auto usual = parse_sweep("10%..95%").percents();
  ASSERT_EQ(usual.size(), 10U);
  EXPECT_EQ(usual.front(), 10);
  EXPECT_EQ(usual.back(), 95);
}

TEST(rate_spec, nonsense_is_refused_naming_the_option_and_what_to_do) {
  for (const char* text : {"",           "99=1ms",
                           "p99",        "p99=",
                           "p99=1",      "p99=0",
                           "p=1ms",      "p49=1ms",
                           "p100=1ms",   "p99.9991=1ms",
                           "p-99=1ms",   "p+99=1ms",
                           "p9e1=1ms",   "p99.=1ms",
                           "p9.9.9=1ms", "pnan=1ms",
                           "p99 =1ms",   "P99=1ms",
                           "p99=-1ms",   "p99=1ms,",
                           ",p99=1ms",   "p99=1ms p99.9=5ms"}) {
    try {
      parse_objectives(text);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), testing::AllOf(testing::StartsWith("--slo: "), testing::HasSubstr("p99=1ms")))
          << text;
    }
  }
  for (const char* text :
       {"", "..", "10%", "10..95", "10%..95", "10%-95%", "10%...95%", "0%..95%", "0.9%..95%", "10%..201%",
        "10%..95%/", "10%..95%/1", "10%..95%/1001", "10%..95%/9.5", "10%..95%/-9", "10%/9..95%", "10% .. 95%",
        "nan%..95%", "10%..95%/9/9"}) {
    try {
      parse_sweep(text);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(),
                  testing::AllOf(testing::StartsWith("--sweep: "), testing::HasSubstr("10%..95%")))
          << text;
    }
  }
}

TEST(rate_spec, what_is_given_twice_or_the_wrong_way_round_is_named) {
  const auto refusal_of = [](auto parse, const char* text) -> std::string {
    try {
      parse(text);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(refusal_of(parse_objectives, "p99=1ms,p99.0=2ms"),
              testing::HasSubstr("names a percentile twice"));
  EXPECT_THAT(refusal_of(parse_sweep, "95%..10%"), testing::HasSubstr("put the lower rate first"));
  EXPECT_THAT(refusal_of(parse_sweep, "50%..50%/3"), testing::HasSubstr("put the lower rate first"));
}

}  // namespace
}  // namespace echobench
