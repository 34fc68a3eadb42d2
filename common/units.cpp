#include "common/units.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

namespace echobench {
namespace {

struct unit {
  std::string_view suffix;
  std::uint64_t factor;
};

// Largest first, so that formatting takes the shortest exact text.
constexpr std::array count_units{unit{"Gi", 1ULL << 30},
                                 unit{"G", 1'000'000'000},
                                 unit{"Mi", 1ULL << 20},
                                 unit{"M", 1'000'000},
                                 unit{"Ki", 1ULL << 10},
                                 unit{"k", 1'000},
                                 unit{"", 1}};
constexpr std::array time_units{
    unit{"h", 3'600'000'000'000}, unit{"m", 60'000'000'000}, unit{"s", 1'000'000'000},
    unit{"ms", 1'000'000},        unit{"us", 1'000},         unit{"ns", 1}};

// digits [ '.' digits ] suffix; exact integer arithmetic, so that 0.3s is 300,000,000 ns and not one less.
template <std::size_t N>
std::optional<std::uint64_t> parse(std::string_view text, const std::array<unit, N>& units) {
  constexpr auto max = std::numeric_limits<std::uint64_t>::max();
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };

  std::uint64_t mantissa = 0;
  std::uint64_t scale = 1;
  bool fraction = false;
  std::size_t digits = 0;
  std::size_t i = 0;
  for (; i < text.size() && (is_digit(text[i]) || (text[i] == '.' && !fraction && digits > 0)); ++i) {
    if (text[i] == '.') {
      fraction = true;
      if (i + 1 == text.size() || !is_digit(text[i + 1])) return std::nullopt;
      continue;
    }
    const auto digit = static_cast<std::uint64_t>(text[i] - '0');
    if (mantissa > (max - digit) / 10 || (fraction && scale > max / 10)) return std::nullopt;
    mantissa = mantissa * 10 + digit;
    if (fraction) scale *= 10;
    ++digits;
  }
  if (digits == 0) return std::nullopt;

  for (const unit& u : units) {
    if (text.substr(i) != u.suffix) continue;
    const std::uint64_t common = std::gcd(u.factor, scale);
    const std::uint64_t factor = u.factor / common;
    const std::uint64_t divisor = scale / common;
    if (mantissa % divisor != 0 || mantissa / divisor > max / factor) return std::nullopt;
    return mantissa / divisor * factor;
  }
  return std::nullopt;
}

template <std::size_t N>
std::string format(std::uint64_t value, const std::array<unit, N>& units) {
  for (const unit& u : units) {
    if (value % u.factor == 0 && value != 0) return std::to_string(value / u.factor) + std::string(u.suffix);
  }
  return "0";
}

}  // namespace

std::optional<std::uint64_t> parse_count(std::string_view text) { return parse(text, count_units); }

std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text) {
  if (text == "0") return std::chrono::nanoseconds(0);
  const auto ns = parse(text, time_units);
  if (!ns || *ns > static_cast<std::uint64_t>(std::chrono::nanoseconds::max().count())) return std::nullopt;
  return std::chrono::nanoseconds(*ns);
}

std::string format_count(std::uint64_t count) { return format(count, count_units); }

std::string format_duration(std::chrono::nanoseconds duration) {
  return format(static_cast<std::uint64_t>(duration.count()), time_units);
}

std::string format_grouped(double number) {
  std::string digits = std::to_string(std::llround(number));
  const std::ptrdiff_t first = number < 0 ? 1 : 0;
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

}  // namespace echobench
