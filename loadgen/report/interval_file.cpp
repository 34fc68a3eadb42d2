#include "loadgen/report/interval_file.hpp"

#include "common/process.hpp"
#include "loadgen/report/result_file.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace echobench {

interval_file::interval_file(const std::string& path, bool also_wanted)
    : path_(path),
      file_(path.empty() ? unique_fd() : open_file(path)),
      wanted_(file_ || also_wanted || ::isatty(STDERR_FILENO) == 1) {}

void interval_file::write(const interval& seen, const cell& of) {
  if (!file_) return;
  nlohmann::json line{{"target", of.driven.host_and_port},
                      {"variant", of.driven.label()},
                      {"start_ns", seen.start.count()},
                      {"length_ns", seen.length.count()},
                      {"driven_ns", seen.driven.count()},
                      {"requests", seen.requests},
                      {"errors", seen.errors}};
  if (of.rate != 0) line["offered_per_s"] = of.rate;
  if (seen.requests > 0) {
    line["p50_ns"] = seen.p50.count();
    line["p99_ns"] = seen.p99.count();
    line["max_ns"] = seen.max.count();
    if (of.rate != 0) line["send_delay_p99_ns"] = seen.send_delay_p99.count();
  }
  unwritten_ += line.dump() + '\n';
  ++lines_;
  write_unwritten();
}

void interval_file::write_unwritten() {
  std::string_view rest = unwritten_;
  error_ = write_all(file_.get(), rest);
  unwritten_.erase(0, unwritten_.size() - rest.size());
}

std::string interval_file::finish() {
  if (!file_) return {};
  write_unwritten();
  if (::close(file_.release()) != 0 && !error_) error_ = {errno, std::system_category()};
  if (!error_) return {};
  if (unwritten_.empty()) return fmt::format("cannot write {}: {}", path_, error_.message());
  return fmt::format("cannot write {}: {}; {} of {} lines are missing", path_, error_.message(),
                     std::ranges::count(unwritten_, '\n'), lines_);
}

}  // namespace echobench
