// A line of JSON for each interval, written when it ends: what a run that is killed leaves behind.
#pragma once

#include "common/socket.hpp"
#include "loadgen/record/interval.hpp"
#include "loadgen/record/measurement.hpp"

#include <string>
#include <system_error>

namespace echobench {

class interval_file {
public:
  // `path` empty: nothing is written. `also_wanted`: for something else. Throws std::system_error that names
  // it.
  interval_file(const std::string& path, bool also_wanted);

  // Whether anybody looks at intervals: this file, something else, or a terminal.
  bool wanted() const noexcept { return wanted_; }

  // What cannot be written now is tried again with the next line.
  void write(const interval& seen, const cell& of);

  // Closes the file. Returns how many lines are missing of how many, and why, in one line that names the
  // file; empty: none is.
  std::string finish();

private:
  void write_unwritten();

  std::string path_;
  unique_fd file_;
  bool wanted_;
  std::size_t lines_ = 0;
  std::string unwritten_;
  std::error_code error_;  // of the last attempt
};

}  // namespace echobench
