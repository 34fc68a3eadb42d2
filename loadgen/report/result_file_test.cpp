#include "loadgen/report/result_file.hpp"

#include "common/socket.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace echobench {
namespace {

namespace fs = std::filesystem;

class result_file : public testing::Test {
protected:
  result_file() {
    char name[] = "/tmp/result-file-test-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~result_file() override { fs::remove_all(folder_); }

  static std::string read(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::ptrdiff_t files() const { return std::distance(fs::directory_iterator(folder_), {}); }

  fs::path folder_;
};

TEST_F(result_file, is_replaced_as_a_whole) {
  const auto path = folder_ / "x.json";
  for (const char* text : {"a longer text", "short"}) {
    require_writable(path);
    write_file(path, text);
    EXPECT_EQ(read(path), text);
  }
  EXPECT_EQ(files(), 1);
}

TEST_F(result_file, a_pipe_is_written_to_and_stays_a_pipe) {
  const auto path = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  require_writable(path);
  const unique_fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK));
  write_file(path, "text");
  char text[8];
  EXPECT_EQ(::read(reader.get(), text, sizeof text), 4);
  EXPECT_TRUE(fs::is_fifo(path));
  EXPECT_EQ(files(), 1);
}

TEST_F(result_file, a_descriptor_is_written_to_by_its_name) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const unique_fd reader(ends[0]);
  const unique_fd writer(ends[1]);
  fs::create_symlink("/proc/self/fd/" + std::to_string(writer.get()), folder_ / "out");
  require_writable(folder_ / "out");
  write_file(folder_ / "out", "text");
  char text[8];
  EXPECT_EQ(::read(reader.get(), text, sizeof text), 4);
  EXPECT_TRUE(fs::is_symlink(folder_ / "out"));
}

TEST_F(result_file, a_link_to_a_file_stays_a_link) {
  fs::create_directory(folder_ / "far");
  fs::create_symlink("far/x.json", folder_ / "link");
  fs::create_symlink("link", folder_ / "linked-twice");
  for (const char* text : {"the link dangled", "and now it does not"}) {
    require_writable(folder_ / "linked-twice");
    write_file(folder_ / "linked-twice", text);
    EXPECT_TRUE(fs::is_symlink(folder_ / "linked-twice"));
    EXPECT_TRUE(fs::is_symlink(folder_ / "link"));
    EXPECT_FALSE(fs::is_symlink(folder_ / "far" / "x.json"));
    EXPECT_EQ(read(folder_ / "far" / "x.json"), text);
  }
  EXPECT_EQ(files(), 3);
}

TEST_F(result_file, what_cannot_be_written_is_named) {
  for (const auto& path : {folder_, folder_ / "none" / "x.json"}) {
    try {
      require_writable(path);
      FAIL() << path << " was accepted";
    } catch (const std::system_error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace echobench
