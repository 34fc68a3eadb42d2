#include "loadgen/report/progress_line.hpp"

#include <unistd.h>

#include <cstdio>

namespace echobench {

using namespace std::chrono_literals;

progress_line::progress_line() : terminal_(::isatty(STDERR_FILENO) == 1) {}

progress_line::~progress_line() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

bool progress_line::due() noexcept {
  if (!terminal_) return false;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return false;
  next_ = now + 500ms;
  return true;
}

void progress_line::print(const std::string& text) {
  shown_ = true;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  std::fflush(stderr);
}

}  // namespace echobench
