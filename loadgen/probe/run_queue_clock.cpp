#include "loadgen/probe/run_queue_clock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace echobench {

run_queue_clock::run_queue_clock() noexcept
    : file_(::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)) {}

std::chrono::nanoseconds run_queue_clock::now() const noexcept {
  char buffer[96];
  const auto size = ::pread(file_.get(), buffer, sizeof buffer, 0);
  const std::string_view text(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto field = text.substr(std::min(text.find(' ') + 1, text.size()));
  std::int64_t waited = 0;
  std::from_chars(field.data(), field.data() + field.size(), waited);
  return std::chrono::nanoseconds(waited);
}

}  // namespace echobench
