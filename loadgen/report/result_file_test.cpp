#include "loadgen/report/result_file.hpp"

#include "common/socket.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace echobench {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

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

// What stands before it in the file that standard output is redirected to must not be lost.
TEST_F(result_file, a_descriptor_goes_on_where_it_is) {
  const auto path = folder_ / "out";
  const unique_fd out(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const auto name = "/dev/fd/" + std::to_string(out.get());
  ASSERT_EQ(::write(out.get(), "one ", 4), 4);
  write_file(name, "two ");
  ASSERT_EQ(::write(out.get(), "three", 5), 5);
  EXPECT_EQ(read(path), "one two three");
}

// With a name so long the folder takes no temporary file next to it, as it takes none when it is read-only; a
// file that is mounted alone cannot be replaced either.
TEST_F(result_file, that_cannot_be_replaced_is_written_in_place) {
  const auto path = folder_ / std::string(250, 'x');
  for (const char* text : {"a longer text", "short"}) {
    require_writable(path);
    write_file(path, text);
    EXPECT_EQ(read(path), text);
  }
  EXPECT_EQ(files(), 1);
}

std::string failure_of(const auto& attempt) {
  try {
    attempt();
    return "";
  } catch (const std::system_error& error) {
    return error.what();
  }
}

TEST_F(result_file, that_can_neither_be_replaced_nor_written_in_place_is_named_with_both_reasons) {
  const auto path = folder_ / std::string(250, 'x');
  fs::copy_file("/bin/sleep", path);
  char name[] = "sleep";
  char time[] = "600";
  char* const argv[] = {name, time, nullptr};
  pid_t sleeping = -1;
  ASSERT_EQ(::posix_spawn(&sleeping, path.c_str(), nullptr, nullptr, argv, environ), 0);
  const auto failure = failure_of([&] { write_file(path, "text"); });
  ::kill(sleeping, SIGKILL);
  ::waitpid(sleeping, nullptr, 0);
  EXPECT_THAT(failure, AllOf(HasSubstr(path), HasSubstr("File name too long"), HasSubstr("Text file busy")));
}

TEST_F(result_file, without_room_for_it_the_old_one_stays) {
  const auto path = folder_ / "x.json";
  write_file(path, "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &small);
  const auto failure = failure_of([&] { write_file(path, std::string(2000, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(failure, "cannot write " + path.string() + ": File too large");
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(files(), 1);
}

TEST_F(result_file, what_cannot_be_written_is_named) {
  for (const std::string& path : {folder_.string(), (folder_ / "none" / "x.json").string(),
                                  std::string("/proc/self/fd/999"), std::string("/proc/self/x.json")}) {
    EXPECT_THAT(failure_of([&] { require_writable(path); }), HasSubstr("cannot write " + path + ": "));
    EXPECT_THAT(failure_of([&] { write_file(path, "text"); }), HasSubstr("cannot write " + path));
    EXPECT_THAT(failure_of([&] { open_file(path); }), HasSubstr("cannot write " + path + ": "));
  }
  EXPECT_EQ(failure_of([&] { write_file("/dev/full", "text"); }),
            "cannot write /dev/full: No space left on device");
  EXPECT_EQ(failure_of([&] { write_file(folder_ / "none" / "x.json", "text"); }),
            "cannot write " + (folder_ / "none" / "x.json").string() + ": No such file or directory");
}

TEST_F(result_file, has_one_identity_whatever_it_is_called) {
  const auto there = folder_ / "there";
  write_file(there, "text");
  fs::create_directory(folder_ / "below");
  fs::create_symlink("there", folder_ / "to-there");
  fs::create_symlink("new", folder_ / "to-new");
  fs::create_directory_symlink(".", folder_ / "folder");
  const auto same = [&](const fs::path& one, const fs::path& other) {
    EXPECT_EQ(is_same_file(one, other), is_same_file(other, one));
    return is_same_file(one, other);
  };
  for (const char* name : {"there", "new"}) {
    EXPECT_TRUE(same(folder_ / name, folder_ / name));
    EXPECT_TRUE(same(folder_ / name, folder_ / "below" / ".." / name));
    EXPECT_TRUE(same(folder_ / name, folder_ / "folder" / name));
    EXPECT_TRUE(same(folder_ / name, folder_ / (std::string("to-") + name)));
    EXPECT_FALSE(same(folder_ / name, folder_ / "other"));
    EXPECT_FALSE(same(folder_ / name, folder_ / "below" / name));
  }
  const unique_fd opened(::open(there.c_str(), O_WRONLY | O_CLOEXEC));
  const auto descriptor = "/dev/fd/" + std::to_string(opened.get());
  EXPECT_TRUE(same(there, descriptor));
  EXPECT_TRUE(is_descriptor(descriptor));
  EXPECT_FALSE(is_descriptor(there));
  EXPECT_FALSE(same("/dev/null", "/dev/null")) << "there is nothing to lose";
}

}  // namespace
}  // namespace echobench
