#include "loadgen/report/interval_file.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace echobench {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class interval_lines : public testing::Test {
protected:
  interval_lines() {
    std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    char name[] = "/tmp/interval-file-test-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ / "lines";
  }
  ~interval_lines() override {
    limit_to(limit_.rlim_cur);
    fs::remove_all(folder_);
  }

  // No file of this process grows beyond it.
  void limit_to(rlim_t bytes) const {
    const rlimit limit{.rlim_cur = bytes, .rlim_max = limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  static void write_to(interval_file& file) { file.write(interval(0, 0ns, 1s, 1s, target_record()), cell()); }
  std::string written() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path folder_;
  std::string path_;
  rlimit limit_{};
};

TEST_F(interval_lines, that_cannot_be_written_at_first_are_written_later) {
  interval_file file(path_, false);
  write_to(file);
  const std::string line = written();
  limit_to(line.size() + 10);
  write_to(file);
  write_to(file);
  EXPECT_EQ(written(), line + line.substr(0, 10));
  limit_to(limit_.rlim_cur);
  write_to(file);
  EXPECT_EQ(written(), line + line + line + line);
  EXPECT_EQ(file.finish(), "");
}

TEST_F(interval_lines, that_are_missing_are_counted) {
  interval_file file(path_, false);
  write_to(file);
  limit_to(written().size() + 10);
  write_to(file);
  write_to(file);
  EXPECT_EQ(file.finish(), "cannot write " + path_ + ": File too large; 2 of 3 lines are missing");
}

TEST_F(interval_lines, nobody_asked_for_are_not_missed) {
  interval_file file("", true);
  EXPECT_TRUE(file.wanted());
  write_to(file);
  EXPECT_EQ(file.finish(), "");
}

}  // namespace
}  // namespace echobench
