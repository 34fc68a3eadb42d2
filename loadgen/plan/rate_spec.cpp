#include "loadgen/plan/rate_spec.hpp"

#include "common/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace echobench {
namespace {

// Plain decimal, as in common/units.hpp, within the two.
std::optional<double> parse_decimal(std::string_view text, double low, double high) {
  if (text.empty() || text.front() == '.' || text.back() == '.') return std::nullopt;
  if (text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
  double value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    return std::nullopt;
  return value;
}

// The shortest text that parses back.
std::string format_decimal(double value) {
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

latency_objective parse_objective(const std::string& text) {
  const auto equals = std::min(text.find('='), text.size());
  if (text.starts_with('p') && equals < text.size()) {
    const auto percent = parse_decimal(text.substr(1, equals - 1), 50, 99.999);
    const auto at_most = parse_duration(text.substr(equals + 1));
    if (percent && at_most && at_most->count() > 0) return {.percent = *percent, .at_most = *at_most};
  }
  throw std::invalid_argument("--slo: '" + text +
                              "' is not pPERCENT=TIME: give a percentile from p50 to p99.999 and a time "
                              "above 0, as in p99=1ms or p99=1ms,p99.9=5ms");
}

std::optional<double> parse_percent(std::string_view text) {
  if (!text.ends_with('%')) return std::nullopt;
  return parse_decimal(text.substr(0, text.size() - 1), 1, 200);
}

}  // namespace

std::vector<double> rate_sweep::percents() const {
  std::vector<double> all;
  const auto last = static_cast<double>(steps - 1);
  for (std::size_t i = 0; i < steps; ++i) {
    const auto share = static_cast<double>(i) / last;
    all.push_back(low * (1 - share) + high * share);  // exact at both ends
  }
  return all;
}

std::vector<latency_objective> parse_objectives(const std::string& text) {
  std::vector<latency_objective> objectives;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto objective = parse_objective(text.substr(begin, end - begin));
    if (std::ranges::find(objectives, objective.percent, &latency_objective::percent) != objectives.end()) {
      throw std::invalid_argument("--slo: '" + text +
                                  "' names a percentile twice: keep the time that is meant");
    }
    objectives.push_back(objective);
    begin = end + 1;
  }
  return objectives;
}

rate_sweep parse_sweep(const std::string& text) {
  constexpr std::string_view between = "..";
  const auto dots = text.find(between);
  const auto slash = std::min(text.find('/'), text.size());
  rate_sweep sweep;
  if (dots != std::string::npos && dots < slash) {
    const auto low = parse_percent(text.substr(0, dots));
    const auto high = parse_percent(text.substr(dots + between.size(), slash - dots - between.size()));
    const auto steps = slash == text.size() ? sweep.steps : parse_count(text.substr(slash + 1)).value_or(0);
    if (low && high && *low >= *high) {
      throw std::invalid_argument("--sweep: '" + text + "' does not rise: put the lower rate first");
    }
    if (low && high && steps >= 2 && steps <= 1000) return {.low = *low, .high = *high, .steps = steps};
  }
  throw std::invalid_argument("--sweep: '" + text +
                              "' is not LOW%..HIGH% or LOW%..HIGH%/STEPS: give rates from 1% to 200% of the "
                              "capacity and 2 to 1000 steps, as in 10%..95%/9");
}

std::string format_objectives(const std::vector<latency_objective>& objectives) {
  std::string text;
  for (const auto& objective : objectives) {
    if (!text.empty()) text += ',';
    text.append("p")
        .append(format_decimal(objective.percent))
        .append("=")
        .append(format_duration(objective.at_most));
  }
  return text;
}

std::string format_sweep(const rate_sweep& sweep) {
  return format_decimal(sweep.low) + "%.." + format_decimal(sweep.high) + "%/" + std::to_string(sweep.steps);
}

}  // namespace echobench
