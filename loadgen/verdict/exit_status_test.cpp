#include "loadgen/verdict/exit_status.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

TEST(exit_status, is_that_of_the_manual) {
  cell good;
  good.requests_total = 1;
  cell silent;
  silent.judged.found = verdict::errors;
  cell starved = good;
  starved.judged.found = verdict::starved;
  cell wrong = silent;
  wrong.judged.found = verdict::wrong_replies;
  wrong.record.errors[static_cast<std::size_t>(load_error::corrupt)] = 1;
  cell overloaded = good;
  overloaded.judged.found = verdict::overloaded;
  const struct {
    std::vector<cell> cells;
    int lenient;
    int strict;
  } table[] = {{{good}, 0, 0},         {{good, starved}, 0, 3},   {{overloaded, good}, 0, 3},
               {{good, silent}, 1, 1}, {{silent, starved}, 1, 1}, {{silent, starved, wrong}, 4, 4}};
  for (const auto& row : table) {
    measurement measured;
    measured.cells = row.cells;
    EXPECT_EQ(exit_status_of(measured, false), row.lenient);
    EXPECT_EQ(exit_status_of(measured, true), row.strict);
  }
}

}  // namespace
}  // namespace echobench
