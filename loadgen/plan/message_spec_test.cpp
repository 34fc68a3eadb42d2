#include "loadgen/plan/message_spec.hpp"

#include <gmock/gmock.h>

#include <stdexcept>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(message_spec, texts_of_operations_and_sizes_are_parsed_and_written_alike) {
  for (const char* text : {"echo", "upper", "work:100us", "sleep:5ms", "mix:echo@99,work:10ms@1"}) {
    EXPECT_EQ(format_operations(parse_operations(text)), text);
  }
  for (const char* text : {"0", "64", "4Ki", "uniform:16-4Ki", "mix:64@90,4Ki@10", "mix:1-9@1,64@2"}) {
    EXPECT_EQ(format_payloads(parse_payloads(text)), text);
  }
  const auto operations = parse_operations("mix:echo@99,work:10ms@1");
  ASSERT_EQ(operations.size(), 2U);
  EXPECT_EQ(operations[1].op, (operation{.kind = frame_op::work, .param = 10ms}));
  EXPECT_EQ(operations[0].weight, 99U);
}

TEST(message_spec, sizes_are_summed_up) {
  const message_spec spec{.payloads = parse_payloads("mix:64@1,100-300@3")};
  EXPECT_EQ(spec.smallest_payload(), 64U);
  EXPECT_EQ(spec.largest_payload(), 300U);
  EXPECT_DOUBLE_EQ(spec.mean_payload(), (64 + 3 * 200) / 4.0);
}

TEST(message_spec, nonsense_is_refused_naming_the_option) {
  for (const char* text : {"dance", "work", "sleep:5", "work:1ns", "mix:", "mix:echo", "mix:echo@0",
                           "mix:echo@1,", "mix:echo@1,dance@1", "mix:mix:echo@1@1"}) {
    EXPECT_THROW(parse_operations(text), std::invalid_argument) << text;
  }
  for (const char* text :
       {"", "many", "-1", "2Gi", "16-4k", "uniform:16", "uniform:9-8", "mix:64", "mix:64@1.5", "mix:64@2M"}) {
    try {
      parse_payloads(text);
      FAIL() << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("--payload")) << text;
    }
  }
}

}  // namespace
}  // namespace echobench
