#include "servers/serving/server_loops.hpp"

#include <gtest/gtest.h>

#include <array>
#include <new>

namespace echobench::testing {
namespace {

constexpr unsigned threads = 3;

TEST(run_on_threads, each_thread_is_prepared_before_the_server_is_ready) {
  std::array<std::thread::id, threads> prepared;
  std::array<std::thread::id, threads> ran;
  std::array<std::thread::id, threads> when_ready;
  run_on_threads(
      threads, [&] { when_ready = prepared; }, [&](unsigned i) { ran[i] = std::this_thread::get_id(); },
      [&](unsigned i) { prepared[i] = std::this_thread::get_id(); });
  EXPECT_EQ(prepared[0], std::this_thread::get_id());
  EXPECT_EQ(when_ready, prepared);
  EXPECT_EQ(ran, prepared);
}

TEST(run_on_threads, none_runs_if_one_cannot_be_prepared) {
  for (unsigned failing = 0; failing < threads; ++failing) {
    bool listened = false;
    std::atomic<unsigned> running = 0;
    const auto run = [&] {
      run_on_threads(
          threads, [&] { listened = true; }, [&](unsigned) { ++running; },
          [&](unsigned i) {
            if (i == failing) throw std::bad_alloc();
          });
    };
    EXPECT_THROW(run(), std::bad_alloc) << failing;
    EXPECT_FALSE(listened);
    EXPECT_EQ(running, 0U);
  }
}

}  // namespace
}  // namespace echobench::testing
