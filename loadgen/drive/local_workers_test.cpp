#include "loadgen/drive/local_workers.hpp"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace echobench {
namespace {

using namespace std::chrono_literals;

// Workers that do not connect.
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

// The limit of processes is the user's and does not hold for root: another user's process is limited, and
// ended by its alarm if it hangs.
TEST_F(idle_workers, a_thread_that_cannot_be_started_is_an_error_and_ends_the_others) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer needs threads of its own";
#endif
  const pid_t limited = ::fork();
  if (limited == 0) {
    ::alarm(30);
    if (::geteuid() == 0 && ::setresuid(61'234, 61'234, 61'234) != 0) ::_exit(2);
    const rlimit two{.rlim_cur = 2, .rlim_max = 2};
    ::setrlimit(RLIMIT_NPROC, &two);
    try {
      const local_workers backend(workers(8));
      ::_exit(3);
    } catch (const std::system_error& error) {
      const std::string text = error.what();
      ::_exit(text.find(" of 8: lower --threads") != std::string::npos ? 0 : 4);
    }
  }
  int status = -1;
  ASSERT_EQ(::waitpid(limited, &status, 0), limited);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace echobench
