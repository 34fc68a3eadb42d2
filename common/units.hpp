// Text to quantities and back. Numbers are plain decimal, without sign or space, a fraction allowed: `1.5s`.
//
// Counts and sizes take k, M, G (powers of 1000) and Ki, Mi, Gi (powers of 1024): `10k` is 10,000, `64Ki`
// 65,536. Times take ns, us, ms, s, m, h. A time without unit is refused, except `0`.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace echobench {

// Empty when the text is not a quantity, is not whole in the base unit, or does not fit.
std::optional<std::uint64_t> parse_count(std::string_view text);
std::optional<std::chrono::nanoseconds> parse_duration(std::string_view text);

// The shortest exact text that parses back to the same value: 10000 -> "10k", 1500us -> "1500us".
std::string format_count(std::uint64_t count);
std::string format_duration(std::chrono::nanoseconds duration);

// For people, rounded to a whole number: 1,234,567.
std::string format_grouped(double number);

}  // namespace echobench
