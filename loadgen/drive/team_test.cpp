#include "loadgen/drive/team.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;

// Workers that are never told to connect.
class team_of_idlers : public testing::Test {
protected:
  std::vector<std::unique_ptr<worker>> workers(std::size_t count) {
    asked_.connections = asked_.threads = count;
    std::vector<std::unique_ptr<worker>> made;
    for (std::size_t i = 0; i < count; ++i) {
      made.push_back(std::make_unique<worker>(asked_, targets_, plan_, i, stop_.get()));
    }
    return made;
  }

private:
  options asked_;
  const std::vector<endpoint> targets_{resolve("127.0.0.1", 1)};
  const payload_pool pool_{1, 64};
  const message_plan plan_{framing::frame, {}, 64, pool_};
  const unique_fd stop_{::eventfd(0, EFD_CLOEXEC)};
};

TEST_F(team_of_idlers, every_worker_does_every_job_once) {
  team crew(workers(3));
  std::atomic<int> done = 0;
  for (int job = 1; job <= 20; ++job) {
    crew.run([&](worker&) { ++done; });
    EXPECT_EQ(done, 3 * job);
  }
}

TEST_F(team_of_idlers, an_owner_that_does_not_wait_takes_no_job_away) {
  std::atomic<int> started = 0;
  std::atomic<int> right = 0;
  {
    team crew(workers(2));
    crew.start([&, text = std::string(100, 'x')](worker&) {
      ++started;
      std::this_thread::sleep_for(20ms);
      right += text == std::string(100, 'x');
    });
    while (started < 2) std::this_thread::yield();
  }
  EXPECT_EQ(right, 2);
}

}  // namespace
}  // namespace echobench
