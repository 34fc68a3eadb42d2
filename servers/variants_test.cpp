// Variants that could not be built: this program's list (CMakeLists.txt) has nothing else.
#include "servers/variants.hpp"

#include <gtest/gtest.h>

namespace echobench::testing {
namespace {

TEST(variants, without_their_library_stay_in_the_list_with_the_reason) {
  ASSERT_EQ(variants::all.size(), 2U);
  EXPECT_EQ(variants::all[0], &variants::first_absent);
  EXPECT_EQ(variants::all[0]->about.name, "first-absent");
  EXPECT_EQ(variants::all[0]->unavailable_reason(), "built without liba-dev");
  EXPECT_EQ(variants::all[1]->about.name, "second-absent");
  EXPECT_EQ(variants::all[1]->unavailable_reason(), "built without libb-dev");
}

}  // namespace
}  // namespace echobench::testing
