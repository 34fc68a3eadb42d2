#include "loadgen/report/result_file.hpp"

#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace echobench {
namespace {

namespace fs = std::filesystem;

constexpr int most_links = 40;  // as the kernel follows, path_resolution(7)

struct destination {
  fs::path path;  // no symbolic link
  bool in_place;  // cannot be replaced
};

fs::path folder_of(const fs::path& path) { return fs::absolute(path).parent_path(); }

// A link in /proc names an open descriptor, which need not be a file with a place of its own.
bool is_in_proc(const fs::path& path) {
  struct statfs system {};
  return ::statfs(folder_of(path).c_str(), &system) == 0 && system.f_type == PROC_SUPER_MAGIC;
}

destination resolve_links(fs::path path) {
  for (int links = 0; links < most_links && fs::is_symlink(path); ++links) {
    if (is_in_proc(path)) return {path, true};
    path = folder_of(path) / fs::read_symlink(path);
  }
  return {path, fs::exists(path) && !fs::is_regular_file(path)};
}

[[noreturn]] void refuse(const std::string& path, std::error_code why) {
  throw std::system_error(why, "cannot write " + path);
}

std::error_code last_error() { return {errno, std::system_category()}; }

}  // namespace

void require_writable(const std::string& path) {
  const auto [file, in_place] = resolve_links(path);
  if (fs::is_directory(file)) refuse(path, std::make_error_code(std::errc::is_a_directory));
  if (::access(in_place ? file.c_str() : folder_of(file).c_str(), W_OK) != 0) refuse(path, last_error());
}

void write_file(const std::string& path, std::string_view text) {
  const auto [file, in_place] = resolve_links(path);
  const fs::path written = in_place ? file : fs::path(file.string() + ".part-" + std::to_string(::getpid()));
  std::ofstream out(written, std::ios::binary);
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  std::error_code error;
  if (!out) error = last_error();
  if (in_place) {
    if (error) refuse(path, error);
    return;
  }
  if (!error) fs::rename(written, file, error);
  if (!error) return;
  std::error_code ignored;
  fs::remove(written, ignored);
  refuse(path, error);
}

}  // namespace echobench
