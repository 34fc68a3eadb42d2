#include "loadgen/report/deliver.hpp"

#include "loadgen/record/hdr_encoding.hpp"
#include "loadgen/report/json_report.hpp"
#include "loadgen/report/result_file.hpp"
#include "loadgen/report/text_report.hpp"
#include "loadgen/verdict/exit_status.hpp"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <set>
#include <string>
#include <vector>

namespace echobench {
namespace {

void write_files(const measurement& measured, const options& asked, std::span<const std::string> argv) {
  constexpr auto any_bytes = nlohmann::json::error_handler_t::replace;  // an argument need not be UTF-8
  if (!asked.json_file.empty())
    write_file(asked.json_file, to_json(measured, asked, argv).dump(1, ' ', false, any_bytes) + '\n');
  if (asked.hdr_file.empty()) return;
  std::vector<hdr_log_line> lines;
  for (const interval& each : measured.intervals) {
    const std::string tag = measured.cells[each.cell].driven.label();
    hdr_log_line line{.tag = tag + "/service",
                      .start = each.start,
                      .length = each.length,
                      .max = each.service_max,
                      .encoded = &each.service};
    lines.push_back(line);
    if (each.response.empty()) continue;
    line.tag = tag + "/response";
    line.max = each.max;
    line.encoded = &each.response;
    lines.push_back(line);
  }
  write_file(asked.hdr_file, format_hdr_log(lines, measured.started));
}

}  // namespace

void require_writable_files(const options& asked) {
  for (const auto& file : {asked.json_file, asked.hdr_file, asked.interval_file}) {
    if (!file.empty()) require_writable(file);
  }
}

exit_status deliver(const measurement& measured, const options& asked, std::span<const std::string> argv) {
  write_files(measured, asked, argv);
  std::fputs(summary(measured, asked).c_str(), stdout);
  std::set<std::string> explained;
  for (const cell& each : measured.cells) {
    if (each.verified() > 0 || !explained.insert(each.driven.label()).second) continue;
    std::fprintf(stderr, "echo-load: %s\n", explain_silence(each, asked, measured.interrupted).c_str());
  }
  return exit_status_of(measured, asked.strict);
}

}  // namespace echobench
