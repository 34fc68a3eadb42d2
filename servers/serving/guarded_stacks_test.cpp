#include "servers/serving/guarded_stacks.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace echobench {
namespace {

using boost::context::stack_context;

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) ++count;
  return count;
}

std::byte* bottom(const stack_context& stack) { return static_cast<std::byte*>(stack.sp) - stack.size; }

TEST(guarded_stacks, all_of_a_stack_can_be_written) {
  guarded_stacks stacks;
  guarded_stacks::allocator allocator(stacks);
  stack_context stack = allocator.allocate();
  for (std::size_t i = 0; i < stack.size; ++i) bottom(stack)[i] = std::byte{1};
  allocator.deallocate(stack);
}

TEST(guarded_stacks_death_test, what_writes_below_a_stack_ends) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  guarded_stacks stacks;
  guarded_stacks::allocator allocator(stacks);
  stack_context stack = allocator.allocate();
  volatile std::byte* const below = bottom(stack) - 1;
  EXPECT_DEATH(*below = std::byte{1}, "");
  allocator.deallocate(stack);
}

TEST(guarded_stacks, one_that_was_returned_is_used_again) {
  guarded_stacks stacks;
  guarded_stacks::allocator allocator(stacks);
  stack_context stack = allocator.allocate();
  void* const first = stack.sp;
  allocator.deallocate(stack);
  stack = allocator.allocate();
  EXPECT_EQ(stack.sp, first);
  stack_context other = allocator.allocate();
  EXPECT_NE(other.sp, first);
  allocator.deallocate(other);
  allocator.deallocate(stack);
}

TEST(guarded_stacks, keeps_a_bounded_number_and_none_that_outlives_it) {
  constexpr std::size_t many = 2000;
  const std::size_t before = mappings();
  {
    guarded_stacks stacks;
    guarded_stacks::allocator allocator(stacks);
    std::vector<stack_context> all;
    for (std::size_t i = 0; i < many; ++i) all.push_back(allocator.allocate());
    EXPECT_GE(mappings(), before + many);
    for (stack_context& stack : all) allocator.deallocate(stack);
    EXPECT_GT(mappings(), before + many / 10);
    EXPECT_LT(mappings(), before + many);
  }
  EXPECT_LT(mappings(), before + many / 10);
}

}  // namespace
}  // namespace echobench
