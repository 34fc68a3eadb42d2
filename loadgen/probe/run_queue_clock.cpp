#include "loadgen/probe/run_queue_clock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string_view>
#include <system_error>

namespace echobench {

run_queue_clock::run_queue_clock(const std::string& schedstat) noexcept
    : file_(::open(schedstat.c_str(), O_RDONLY | O_CLOEXEC)) {}

std::optional<std::chrono::nanoseconds> run_queue_clock::now() const noexcept {
  char buffer[96];
  const auto size = ::pread(file_.get(), buffer, sizeof buffer, 0);
  const std::string_view text(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
  const auto field = text.substr(std::min(text.find(' ') + 1, text.size()));
  std::int64_t waited = 0;
  const auto parsed = std::from_chars(field.data(), field.data() + field.size(), waited);
  if (parsed.ec != std::errc{}) return std::nullopt;
  return std::chrono::nanoseconds(waited);
}

}  // namespace echobench
