#include "loadgen/drive/rate_steps.hpp"

#include <gtest/gtest.h>

namespace echobench {
namespace {

using namespace std::chrono_literals;

TEST(rate_steps, a_trial_holds_when_all_objectives_do_and_says_nothing_where_the_client_was_late) {
  cell trial;
  trial.rate = 1000;
  for (int i = 0; i < 990; ++i) trial.record.response.record(1ms);
  for (int i = 0; i < 10; ++i) trial.record.response.record(9ms);
  EXPECT_EQ(outcome_of(trial, {{99, 2ms}}), trial_outcome::held);
  EXPECT_EQ(outcome_of(trial, {{99.9, 2ms}}), trial_outcome::missed);
  EXPECT_EQ(outcome_of(trial, {{99, 2ms}, {99.9, 10ms}}), trial_outcome::held);
  EXPECT_EQ(outcome_of(trial, {{99, 2ms}, {99.9, 8ms}}), trial_outcome::missed);
  trial.judged.found = verdict::client_bound;
  EXPECT_EQ(outcome_of(trial, {{99, 2ms}}), trial_outcome::unusable);
  trial.judged.found = verdict::errors;
  EXPECT_EQ(outcome_of(trial, {{99, 2ms}}), trial_outcome::missed)
      << "requests that were not answered in time";
}

}  // namespace
}  // namespace echobench
