// A line of JSON for each interval, written when it ends: what a run that is killed leaves behind.
#pragma once

#include "loadgen/record/interval.hpp"
#include "loadgen/record/measurement.hpp"

#include <cstdio>
#include <memory>
#include <string>

namespace echobench {

class interval_file {
public:
  // `path` empty: nothing is written. `also_wanted`: for something else. Throws std::system_error that names
  // it.
  interval_file(const std::string& path, bool also_wanted);

  // Whether anybody looks at intervals: this file, something else, or a terminal.
  bool wanted() const noexcept { return wanted_; }
  void write(const interval& seen, const cell& of);

private:
  struct close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, close> file_;
  bool wanted_;
};

}  // namespace echobench
