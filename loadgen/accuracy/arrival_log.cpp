#include "loadgen/accuracy/arrival_log.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace echobench {
namespace {

constexpr std::array<std::string_view, 3> stamp_names{"exact", "shared", "absent"};
constexpr std::size_t column_count = 7;

std::int64_t ns_of(observed_request::time_point time) {
  return std::chrono::nanoseconds(time.time_since_epoch()).count();
}

template <class Number>
Number number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) throw std::invalid_argument("");
  return value;
}

observed_request::time_point time_of(std::string_view text) {
  return observed_request::time_point(std::chrono::nanoseconds(number_of<std::int64_t>(text)));
}

arrival_stamp stamp_of(std::string_view text) {
  const auto match = std::ranges::find(stamp_names, text);
  if (match == stamp_names.end()) throw std::invalid_argument("");
  return static_cast<arrival_stamp>(match - stamp_names.begin());
}

observed_request request_of(std::string_view line) {
  std::array<std::string_view, column_count> fields;
  for (std::size_t i = 0; i < column_count; ++i) {
    const auto end = line.find(',');
    if ((end == std::string_view::npos) != (i + 1 == column_count)) throw std::invalid_argument("");
    fields[i] = line.substr(0, end);
    line.remove_prefix(std::min(line.size(), fields[i].size() + 1));
  }
  return {.connection = number_of<std::uint32_t>(fields[0]),
          .sequence = number_of<std::uint32_t>(fields[2]),
          .arrived = time_of(fields[3]),
          .read = time_of(fields[4]),
          .replied = time_of(fields[5]),
          .stamp = stamp_of(fields[6])};
}

}  // namespace

arrival_log::arrival_log(std::size_t limit) : limit_(limit) { requests_.reserve(limit); }

std::uint32_t arrival_log::add_connection(std::string peer) {
  peers_.push_back(std::move(peer));
  return static_cast<std::uint32_t>(peers_.size() - 1);
}

std::size_t arrival_log::add(const observed_request& request) noexcept {
  if (requests_.size() == limit_) {
    left_out_ += limit_ > 0;
    return not_kept;
  }
  requests_.push_back(request);
  return requests_.size() - 1;
}

void arrival_log::write(const std::string& file) const {
  const auto fail = [&] { throw std::system_error(errno, std::system_category(), "cannot write " + file); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(file.c_str(), "we"), &std::fclose);
  if (!out) fail();
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "{}\n", columns);
  const auto flush = [&] {
    if (std::fwrite(text.data(), 1, text.size(), out.get()) != text.size()) fail();
    text.clear();
  };
  constexpr std::size_t flush_beyond = 1U << 16;
  for (const observed_request& request : requests_) {
    fmt::format_to(std::back_inserter(text), "{},{},{},{},{},{},{}\n", request.connection,
                   peers_[request.connection], request.sequence, ns_of(request.arrived), ns_of(request.read),
                   ns_of(request.replied), stamp_names[static_cast<std::size_t>(request.stamp)]);
    if (text.size() > flush_beyond) flush();
  }
  flush();
  if (std::fflush(out.get()) != 0) fail();
}

std::vector<observed_request> read_arrival_log(std::istream& from) {
  std::vector<observed_request> requests;
  std::string line;
  std::size_t number = 1;
  try {
    if (!std::getline(from, line) || line != arrival_log::columns) throw std::invalid_argument("");
    for (++number; std::getline(from, line); ++number) requests.push_back(request_of(line));
  } catch (const std::invalid_argument&) {
    throw std::invalid_argument(fmt::format("line {} is not one of a log of arrivals", number));
  }
  return requests;
}

}  // namespace echobench
