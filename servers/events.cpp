#include "servers/events.hpp"

#include "common/build_info.hpp"
#include "common/process.hpp"
#include "servers/serving/listener.hpp"
#include "servers/serving/turns.hpp"
#include "servers/variants.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <string>

namespace echobench {
namespace {

using json = nlohmann::ordered_json;

std::string_view to_string(clients holds) {
  return holds == clients::one ? "one" : holds == clients::threads ? "threads" : "any";
}

std::string_view to_string(model_family family) {
  switch (family) {
    case model_family::unknown: break;
    case model_family::threads: return "threads";
    case model_family::processes: return "processes";
    case model_family::event_loops: return "event loops";
    case model_family::callbacks: return "callbacks";
    case model_family::coroutines: return "coroutines";
    case model_family::fibers: return "fibers";
  }
  return "others";
}

std::string in_brackets(std::string_view label, std::string_view text) {
  return text.empty() ? "" : fmt::format(" [{}{}]", label, text);
}

void print_line(const json& line) { print_output(line.dump() + '\n'); }

}  // namespace

void print_list(server_command::action how) {
  json rows = json::array();
  std::string text;
  for (const variant* v : variants::all) {
    const auto reason = v->unavailable_reason();
    const description& about = v->about;
    text += fmt::format("{:<24}{}{}{}\n", about.name, about.summary, in_brackets("", about.remark),
                        in_brackets("unavailable: ", reason));
    rows.push_back({{"name", about.name},
                    {"summary", about.summary},
                    {"holds", to_string(v->holds)},
                    {"unavailable_reason", reason},
                    {"family", to_string(about.family)},
                    {"waits", about.waits},
                    {"threads", about.threads},
                    {"colour", about.colour},
                    {"remark", about.remark}});
  }
  if (how == server_command::action::list_json) {
    print_line(rows);
  } else {
    print_output(text);
  }
}

void print_listening(const variant& chosen, const any_server& server) {
  json addresses = json::array();
  for (const endpoint& where : server.listeners().endpoints()) addresses.push_back(where.to_string());
  print_line({{"event", "listening"},
              {"variant", chosen.about.name},
              {"addresses", addresses},
              {"loops", server.listeners().loops()},
              {"pid", ::getpid()},
              {"build",
               {{"version", build_info::version},
                {"commit", build_info::commit},
                {"dirty", build_info::dirty},
                {"compiler", build_info::compiler},
                {"flags", build_info::flags}}}});
}

void print_stopped(const variant& chosen, const server_outcome& outcome) {
  const server_totals& totals = outcome.totals;
  json errors = json::object();
  for (std::size_t i = 0; i < totals.errors.size(); ++i) {
    if (totals.errors[i] > 0) errors[std::string(server_error_names[i])] = totals.errors[i];
  }
  json line{{"event", "stopped"},
            {"variant", chosen.about.name},
            {"accepted", totals.accepted},
            {"requests", totals.requests},
            {"bytes_in", totals.bytes_in},
            {"bytes_out", totals.bytes_out},
            {"burnt_ns", totals.burnt.count()},
            {"errors", errors}};
  if (const auto turns = thread_turns::total() + totals.turns; turns > 0) line["turns"] = turns;
  if (!outcome.requests_of_loops.empty()) line["requests_per_loop"] = outcome.requests_of_loops;
  print_line(line);
}

}  // namespace echobench
