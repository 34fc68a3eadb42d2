#include "loadgen/report/interval_file.hpp"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace echobench {

interval_file::interval_file(const std::string& path, bool also_wanted)
    : file_(path.empty() ? nullptr : std::fopen(path.c_str(), "we")),
      wanted_(file_ || also_wanted || ::isatty(STDERR_FILENO) == 1) {
  if (!path.empty() && !file_) throw std::system_error(errno, std::system_category(), "cannot write " + path);
}

void interval_file::write(const interval& seen, const cell& of) {
  if (!file_) return;
  nlohmann::json line{{"target", of.driven.host_and_port},
                      {"variant", of.driven.label()},
                      {"start_ns", seen.start.count()},
                      {"length_ns", seen.length.count()},
                      {"driven_ns", seen.driven.count()},
                      {"requests", seen.requests},
                      {"errors", seen.errors},
                      {"p50_ns", seen.p50.count()},
                      {"p99_ns", seen.p99.count()},
                      {"max_ns", seen.max.count()}};
  if (of.rate != 0) {
    line["offered_per_s"] = of.rate;
    line["send_delay_p99_ns"] = seen.send_delay_p99.count();
  }
  std::fprintf(file_.get(), "%s\n", line.dump().c_str());
  std::fflush(file_.get());
}

}  // namespace echobench
