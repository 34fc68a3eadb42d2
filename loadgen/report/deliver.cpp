#include "loadgen/report/deliver.hpp"

#include "loadgen/record/hdr_encoding.hpp"
#include "loadgen/report/json_report.hpp"
#include "loadgen/report/result_file.hpp"
#include "loadgen/report/text_report.hpp"
#include "loadgen/verdict/exit_status.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>
#include <set>
#include <string>
#include <vector>

namespace echobench {
namespace {

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
  for (const auto& file : {asked.json_file, asked.hdr_file, asked.interval_file}) {
    if (!file.empty()) require_writable(file);
  }
}

exit_status deliver(const measurement& measured, const options& asked, std::span<const std::string> argv) {
  forget_stop_signals();  // the run has ended; another is to end a wait for whoever reads the result
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
