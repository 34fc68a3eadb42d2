#include "loadgen/drive/local_workers.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;

// Workers that are never told to connect.
class idle_workers : public testing::Test {
protected:
  std::vector<std::unique_ptr<worker>> workers(std::size_t count) {
    load_.targets = {resolve("127.0.0.1", 1)};
    load_.connections = count;
    std::vector<std::unique_ptr<worker>> made;
    for (std::size_t i = 0; i < count; ++i) {
      made.push_back(std::make_unique<worker>(load_, plan_, i, count, stop_.get(), clock::now()));
    }
    return made;
  }

private:
  load_spec load_;
  const payload_pool pool_{1, 64};
  const message_plan plan_{{}, pool_};
  const unique_fd stop_{::eventfd(0, EFD_CLOEXEC)};
};

TEST_F(idle_workers, every_worker_does_every_job_once) {
  local_workers backend(workers(3));
  std::atomic<int> done = 0;
  for (int job = 1; job <= 20; ++job) {
    backend.run([&](worker&) { ++done; });
    EXPECT_EQ(done, 3 * job);
  }
}

TEST_F(idle_workers, an_owner_that_does_not_wait_takes_no_job_away) {
  std::atomic<int> started = 0;
  std::atomic<int> right = 0;
  {
    local_workers backend(workers(2));
    backend.start_job([&, text = std::string(100, 'x')](worker&) {
      ++started;
      std::this_thread::sleep_for(20ms);
      right += text == std::string(100, 'x');
    });
    while (started < 2) std::this_thread::yield();
  }
  EXPECT_EQ(right, 2);
}

TEST_F(idle_workers, what_a_worker_throws_reaches_the_owner_once) {
  local_workers backend(workers(2));
  EXPECT_THROW(backend.run([](worker&) { throw std::runtime_error("no"); }), std::runtime_error);
  backend.run([](worker&) {});
}

}  // namespace
}  // namespace echobench
