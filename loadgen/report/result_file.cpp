#include "loadgen/report/result_file.hpp"

#include "common/process.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>
#include <tuple>

namespace echobench {
namespace {

namespace fs = std::filesystem;

constexpr int most_links = 40;  // as the kernel follows, path_resolution(7)

struct destination {
  fs::path path;              // no symbolic link, but for those in /proc
  bool in_place = false;      // cannot be replaced
  std::optional<int> opened;  // of this process, which the path is a name of: /dev/stdout
};

fs::path folder_of(const fs::path& path) { return fs::absolute(path).parent_path(); }

// A link in /proc names an open descriptor, which need not be a file with a place of its own.
bool is_in_proc(const fs::path& path) {
  struct statfs system {};
  return ::statfs(folder_of(path).c_str(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

std::optional<int> own_descriptor(const fs::path& path) {
  std::error_code none;
  const std::string number = path.filename();
  const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || !fs::equivalent(folder_of(path), "/proc/self/fd", none)) return {};
  return std::stoi(number);
}

destination resolve_links(fs::path path) {
  for (int links = 0; links < most_links && fs::is_symlink(path); ++links) {
    if (is_in_proc(path)) return {path, true, own_descriptor(path)};
    path = folder_of(path) / fs::read_symlink(path);
  }
  return {path, fs::exists(path) && !fs::is_regular_file(path), {}};
}

std::error_code last_error() { return {errno, std::system_category()}; }

[[noreturn]] void refuse(const std::string& path, std::error_code why) {
  throw std::system_error(why, "cannot write " + path);
}

unique_fd open_to_write(const fs::path& path) {
  return unique_fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
}

unique_fd open_in_place(const destination& file) {
  // To open it anew would begin at its start, and what was printed before would be lost.
  if (file.opened) return unique_fd(::fcntl(*file.opened, F_DUPFD_CLOEXEC, 0));
  return open_to_write(file.path);
}

// With the errors that only closing shows.
std::error_code write_and_close(unique_fd file, std::string_view text) {
  const std::error_code error = write_all(file.get(), text);
  if (::close(file.release()) != 0 && !error) return last_error();
  return error;
}

struct replacement {
  std::error_code error;
  bool may_overwrite =
      false;  // it could not be replaced, but the file that is there can perhaps be written to
};

// By a file next to it that takes its name.
replacement replace(const fs::path& file, std::string_view text) {
  const fs::path part = file.string() + ".part-" + std::to_string(::getpid());
  unique_fd opened = open_to_write(part);
  if (!opened) return {last_error(), errno != ENOSPC && errno != EDQUOT};
  replacement result{write_and_close(std::move(opened), text)};
  if (!result.error && ::rename(part.c_str(), file.c_str()) != 0) result = {last_error(), true};
  if (result.error) ::unlink(part.c_str());
  return result;
}

std::error_code write_in_place(const destination& file, std::string_view text) {
  const stop_signals_allowed while_it_waits;  // for the reader of a pipe, maybe for ever
  unique_fd opened = open_in_place(file);
  return opened ? write_and_close(std::move(opened), text) : last_error();
}

}  // namespace

void require_writable(const std::string& path) {
  const auto file = resolve_links(path);
  if (fs::is_directory(file.path)) refuse(path, std::make_error_code(std::errc::is_a_directory));
  const bool exists = fs::exists(file.path);
  if (!exists && is_in_proc(file.path)) refuse(path, std::make_error_code(std::errc::bad_file_descriptor));
  const auto is_writable = [](const fs::path& where) { return ::access(where.c_str(), W_OK) == 0; };
  if (exists && is_writable(file.path)) return;
  if (file.in_place || !is_writable(folder_of(file.path))) refuse(path, last_error());
}

bool is_same_file(const std::string& one, const std::string& other) {
  // Of a file that is not there yet, its name in its folder.
  const auto identity = [](const std::string& path) {
    const auto file = resolve_links(path);
    struct stat status {};
    const bool exists = ::stat(file.path.c_str(), &status) == 0;
    if (!exists) ::stat(folder_of(file.path).c_str(), &status);
    return std::tuple(exists && S_ISCHR(status.st_mode), status.st_dev, status.st_ino,
                      exists ? std::string() : file.path.filename().string());
  };
  const auto first = identity(one);
  const bool is_device = std::get<0>(first);
  return !is_device && first == identity(other);
}

bool is_descriptor(const std::string& path) { return resolve_links(path).opened.has_value(); }

unique_fd open_file(const std::string& path) {
  const stop_signals_allowed while_it_waits;
  unique_fd opened = open_in_place(resolve_links(path));
  if (!opened) refuse(path, last_error());
  return opened;
}

void write_file(const std::string& path, std::string_view text) {
  const auto file = resolve_links(path);
  replacement replaced;
  if (!file.in_place) {
    replaced = replace(file.path, text);
    if (!replaced.error) return;
    if (!replaced.may_overwrite) refuse(path, replaced.error);
  }
  const std::error_code error = write_in_place(file, text);
  if (!error) return;
  if (!replaced.error || replaced.error == error) refuse(path, error);
  throw std::system_error(
      error, "cannot write " + path + " in place, nor replace it (" + replaced.error.message() + ")");
}

}  // namespace echobench
