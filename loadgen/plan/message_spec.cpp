#include "loadgen/plan/message_spec.hpp"

#include "common/units.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace echobench {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view mix = "mix:";
constexpr std::uint64_t largest_weight = 1'000'000;
constexpr std::uint64_t largest_size = 1U << 30;

[[noreturn]] void reject(const std::string& why) { throw std::invalid_argument(why); }

// The parts of `mix:A@1,B@2`, each with its weight; of any other text, itself.
std::vector<std::pair<std::string, std::uint32_t>> split_mix(const std::string& option,
                                                             const std::string& text) {
  if (!text.starts_with(mix)) return {{text, 1}};
  std::vector<std::pair<std::string, std::uint32_t>> parts;
  for (std::size_t begin = mix.size(); begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto part = text.substr(begin, end - begin);
    const auto at = part.rfind('@');
    const auto weight = at == std::string::npos ? std::nullopt : parse_count(part.substr(at + 1));
    if (!weight || *weight == 0 || *weight > largest_weight) {
      reject(option + ": '" + part + "' in '" + text + "' needs a weight from 1 to 1M, as in mix:A@99,B@1");
    }
    parts.emplace_back(part.substr(0, at), static_cast<std::uint32_t>(*weight));
    begin = end + 1;
  }
  return parts;
}

operation parse_operation(const std::string& text) {
  if (text == "echo") return {};
  if (text == "upper") return {.kind = frame_op::upper};
  const auto colon = text.find(':');
  const auto name = text.substr(0, colon);
  if (name == "work" || name == "sleep") {
    const auto param = colon == std::string::npos ? std::nullopt : parse_duration(text.substr(colon + 1));
    if (!param || *param % 1us != 0ns || *param > 1h) {
      reject("--op: " + name + " needs a time in whole microseconds up to 1h, for example " + name +
             ":100us");
    }
    return {.kind = name == "work" ? frame_op::work : frame_op::sleep,
            .param = std::chrono::duration_cast<std::chrono::microseconds>(*param)};
  }
  reject("--op: '" + text + "' is none of echo, upper, work:TIME, sleep:TIME, mix:OP@WEIGHT,...");
}

std::uint32_t parse_size(const std::string& text) {
  const auto size = parse_count(text);
  if (!size || *size > largest_size) {
    reject("--payload: '" + text +
           "' is none of SIZE (0 to 1Gi), uniform:SIZE-SIZE, mix:SIZE@WEIGHT,SIZE-SIZE@WEIGHT");
  }
  return static_cast<std::uint32_t>(*size);
}

weighted_size parse_range(const std::string& text) {
  const auto dash = text.find('-');
  if (dash == std::string::npos) return {.low = parse_size(text), .high = parse_size(text)};
  const weighted_size range{.low = parse_size(text.substr(0, dash)),
                            .high = parse_size(text.substr(dash + 1))};
  if (range.low > range.high) reject("--payload: '" + text + "' ends below its begin");
  return range;
}

// The parts as split_mix() takes them.
template <class Weighted, class Format>
std::string join_mix(const std::vector<Weighted>& parts, Format format) {
  if (parts.size() == 1) return format(parts.front());
  std::string text(mix);
  for (const Weighted& part : parts) {
    if (text.size() > mix.size()) text += ',';
    text += format(part) + '@' + format_count(part.weight);
  }
  return text;
}

}  // namespace

std::uint32_t message_spec::smallest_payload() const noexcept {
  return std::ranges::min(payloads, {}, &weighted_size::low).low;
}

std::uint32_t message_spec::largest_payload() const noexcept {
  return std::ranges::max(payloads, {}, &weighted_size::high).high;
}

double message_spec::mean_payload() const noexcept {
  double sum = 0;
  double weights = 0;
  for (const auto& size : payloads) {
    sum += (static_cast<double>(size.low) + size.high) / 2 * size.weight;
    weights += size.weight;
  }
  return sum / weights;
}

bool message_spec::has(frame_op kind) const noexcept {
  return std::ranges::any_of(operations, [kind](const auto& weighted) { return weighted.op.kind == kind; });
}

std::vector<weighted_operation> parse_operations(const std::string& text) {
  std::vector<weighted_operation> operations;
  for (const auto& [part, weight] : split_mix("--op", text))
    operations.push_back({parse_operation(part), weight});
  return operations;
}

std::vector<weighted_size> parse_payloads(const std::string& text) {
  constexpr std::string_view uniform = "uniform:";
  std::vector<weighted_size> sizes;
  for (const auto& [part, weight] : split_mix("--payload", text)) {
    const bool named = part.starts_with(uniform);
    if (named && part.find('-') == std::string::npos) reject("--payload: '" + part + "' needs two sizes");
    if (!named && text == part && part.find('-') != std::string::npos) parse_size(part);  // which says how
    sizes.push_back(parse_range(named ? part.substr(uniform.size()) : part));
    sizes.back().weight = weight;
  }
  return sizes;
}

std::string format_operation(const operation& op) {
  switch (op.kind) {
    case frame_op::echo: return "echo";
    case frame_op::upper: return "upper";
    case frame_op::work: return "work:" + format_duration(op.param);
    case frame_op::sleep: return "sleep:" + format_duration(op.param);
  }
  return "";
}

std::string format_operations(const std::vector<weighted_operation>& operations) {
  return join_mix(operations, [](const weighted_operation& of) { return format_operation(of.op); });
}

std::string format_payloads(const std::vector<weighted_size>& payloads) {
  const bool alone = payloads.size() == 1;
  return join_mix(payloads, [alone](const weighted_size& of) {
    if (of.low == of.high) return format_count(of.low);
    return (alone ? "uniform:" : "") + format_count(of.low) + '-' + format_count(of.high);
  });
}

}  // namespace echobench
