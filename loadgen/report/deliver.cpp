#include "loadgen/report/deliver.hpp"

#include "loadgen/record/hdr_encoding.hpp"
#include "loadgen/report/json_report.hpp"
#include "loadgen/report/result_file.hpp"
#include "loadgen/report/text_report.hpp"
#include "loadgen/verdict/exit_status.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace echobench {
namespace {

struct file_option {
  const char* name;
  std::string path;
};

std::vector<file_option> file_options(const options& asked) {
  std::vector<file_option> given;
  for (const auto& option : {file_option{"--json", asked.json_file}, file_option{"--hdr", asked.hdr_file},
                             file_option{"--intervals", asked.interval_file}}) {
    if (!option.path.empty()) given.push_back(option);
  }
  return given;
}

std::string json_text(const measurement& measured, const options& asked, std::span<const std::string> argv) {
  constexpr auto any_bytes = nlohmann::json::error_handler_t::replace;  // an argument need not be UTF-8
  return to_json(measured, asked, argv).dump(1, ' ', false, any_bytes) + '\n';
}

std::string hdr_text(const measurement& measured) {
  std::vector<hdr_log_line> lines;
  for (const interval& part : measured.intervals) {
    const std::string tag = measured.cells[part.cell].driven.label();
    hdr_log_line line{.tag = tag + "/service",
                      .start = part.start,
                      .length = part.length,
                      .max = part.service_max,
                      .encoded = &part.service};
    lines.push_back(line);
    if (part.response.empty()) continue;
    line.tag = tag + "/response";
    line.max = part.max;
    line.encoded = &part.response;
    lines.push_back(line);
  }
  return format_hdr_log(lines, measured.started);
}

}  // namespace

void require_writable_files(const options& asked) {
  const auto given = file_options(asked);
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto& [name, path] = given[i];
    require_writable(path);
    for (std::size_t other = 0; other < i; ++other) {
      if (!is_same_file(path, given[other].path)) continue;
      throw std::invalid_argument(fmt::format("{} {} and {} {} are the same file: name one for each",
                                              given[other].name, given[other].path, name, path));
    }
    for (const auto& [stream, link] :
         {std::pair("standard output", "/proc/self/fd/1"), std::pair("standard error", "/proc/self/fd/2")}) {
      if (is_descriptor(path) || !is_same_file(path, link)) continue;
      throw std::invalid_argument(
          fmt::format("{} {} is the file that {} is redirected to: name another", name, path, stream));
    }
  }
}

exit_status deliver(const measurement& measured, const options& asked, std::span<const std::string> argv) {
  forget_stop_signals();  // the run has ended; another signal is to end a wait for the reader of a result
  bool complete = true;
  const auto report = [&](const char* what, const std::string& why) {
    complete = false;
    std::fprintf(stderr, "echo-load: %s%s\n", what, why.c_str());
  };
  // Whatever fails, the rest is delivered.
  const auto attempt = [&](const char* what, auto&& write) {
    try {
      write();
    } catch (const std::exception& error) {
      report(what, error.what());
    }
  };
  attempt("", [&] { print_output(summary(measured, asked)); });
  std::set<std::string> explained;
  for (const cell& of : measured.cells) {
    if (of.verified() > 0 || !explained.insert(of.driven.label()).second) continue;
    std::fprintf(stderr, "echo-load: %s\n", explain_silence(of, asked, measured.interrupted).c_str());
  }
  if (!asked.json_file.empty())
    attempt("--json: ", [&] { write_file(asked.json_file, json_text(measured, asked, argv)); });
  if (!asked.hdr_file.empty()) attempt("--hdr: ", [&] { write_file(asked.hdr_file, hdr_text(measured)); });
  if (!measured.intervals_missing.empty()) report("--intervals: ", measured.intervals_missing);
  const exit_status status = exit_status_of(measured, asked.strict);
  return complete || status == exit_wrong_replies ? status : exit_failed;
}

}  // namespace echobench
