#include "loadgen/report/text_report.hpp"

#include "common/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

constexpr std::size_t faults_shown = 3;

std::string duration_text(std::optional<nanoseconds> of) {
  if (!of) return "-";
  const auto ns = static_cast<double>(of->count());
  if (ns < 1e3) return fmt::format("{:.0f}ns", ns);
  if (ns < 1e6) return fmt::format("{:.1f}us", ns / 1e3);
  if (ns < 1e9) return fmt::format("{:.2f}ms", ns / 1e6);
  return fmt::format("{:.2f}s", ns / 1e9);
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= 1U << 30) return fmt::format("{:.2f}GiB", static_cast<double>(bytes) / (1U << 30));
  return fmt::format("{:.1f}MiB", static_cast<double>(bytes) / (1U << 20));
}

// 1,234,567
std::string grouped(double number) {
  std::string digits = fmt::format("{:.0f}", number);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string rate_text(const cell& of) {
  return (of.judged.found == verdict::client_bound ? ">=" : "") + grouped(of.throughput());
}

std::string cpu_text(const cell& of) {
  if (!of.server || of.requests_total == 0) return "-";
  return fmt::format(
      "{:.2f}", static_cast<double>(of.server->cpu.count()) / 1e3 / static_cast<double>(of.requests_total));
}

std::vector<std::string> row(const cell& of, const options& asked) {
  const auto connections = fmt::format("{}/{}/{}", asked.all_connections(), of.opened, of.served);
  const auto verdict_text = std::string(name_of(of.judged.found));
  // A wrong answer yields no figure.
  const std::string name = asked.seeks_rates() ? fmt::format("{} at {}/s", of.driven.label(),
                                                             grouped(static_cast<double>(of.rate)))
                                               : of.driven.label();
  if (of.judged.found == verdict::wrong_replies) {
    return {name, "-", "-", "-", "-", "-", "-", "-", "-", connections, verdict_text};
  }
  const histogram& shown = of.latency();
  return {name,
          rate_text(of),
          duration_text(of.supported_percentile(50)),
          duration_text(of.supported_percentile(90)),
          duration_text(of.supported_percentile(99)),
          duration_text(of.supported_percentile(99.9)),
          duration_text(shown.count() > 0 ? std::optional(shown.max()) : std::nullopt),
          cpu_text(of),
          of.server ? size_text(of.server->end.rss_bytes) : "-",
          connections,
          verdict_text};
}

std::string maximum_rate_text(const maximum_rate& of, const options& asked) {
  const rate_search_result& its = of.found;
  const std::string lost =
      of.lost == 0 ? std::string()
                   : fmt::format(": {} of {} connections were lost", of.lost, asked.load.connections);
  const std::string unfinished = its.ended ? "" : "; the search was not finished" + lost;
  const std::string objective = format_objectives(asked.objectives);
  const std::string rate = grouped(its.estimate) + "/s";
  std::string text = asked.targets[of.target].label() + ": ";
  switch (its.place) {
    case maximum_place::unknown:
      return text + (its.trials.empty() ? "no rate was tried" : "no rate that was tried could be used") +
             unfinished + '\n';
    case maximum_place::at_most: return text + objective + " does not even hold at " + rate + '\n';
    case maximum_place::at_least: text += fmt::format("{} holds at {} at least", objective, rate); break;
    case maximum_place::found:
      text += fmt::format("{} holds up to {} ({} to {})", objective, rate, its.low ? grouped(*its.low) : "?",
                          its.high ? grouped(*its.high) : "?");
  }
  text += fmt::format(", {:.0f} % of the {}/s that it answered in a closed loop; {} trials",
                      100 * its.estimate / of.capacity, grouped(of.capacity), its.trials.size());
  if (its.ceiling)
    text += fmt::format("; the client could not offer {}/s", grouped(static_cast<double>(*its.ceiling)));
  return text + unfinished + '\n';
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& cells : rows) {
    for (std::size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  std::string text;
  for (const auto& cells : rows) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      const bool left = i == 0 || i + 1 == cells.size();
      text += left ? fmt::format("{:<{}}", cells[i], i == 0 ? widths[i] : 0)
                   : fmt::format("  {:>{}}", cells[i], widths[i]);
      if (i + 2 == cells.size()) text += "  ";
    }
    text += '\n';
  }
  return text;
}

std::string memory_text(const server_use& server, std::size_t opened) {
  const auto& [base, end] = std::tie(server.base, server.end);
  const bool shared_once = base.pss_bytes && end.pss_bytes;
  const auto before = shared_once ? *base.pss_bytes : base.rss_bytes;
  const auto after = shared_once ? *end.pss_bytes : end.rss_bytes;
  return fmt::format(
      ", {:.1f} KiB a connection ({})",
      static_cast<double>(after - std::min(after, before)) / 1024 / static_cast<double>(opened),
      shared_once ? "PSS" : "RSS");
}

std::string connecting_text(const cell& of) {
  const histogram& connect = of.record.connect;
  return fmt::format("  connecting: {} a second, p50 {}, p99 {}, max {}\n", grouped(of.connect_rate()),
                     duration_text(connect.supported_percentile(50)),
                     duration_text(connect.supported_percentile(99)),
                     duration_text(connect.count() > 0 ? std::optional(connect.max()) : std::nullopt));
}

std::string schedule_text(const cell& of) {
  return fmt::format(
      "  schedule: {:.2f} % of the sends within {} of it, send delay p50 {}, p99.9 {}, max {}; {} due while "
      "the "
      "pipeline was full; service p99 {}\n",
      *of.on_schedule() * 100, format_duration(schedule_tolerance),
      duration_text(of.record.send_delay.supported_percentile(50)),
      duration_text(of.record.send_delay.supported_percentile(99.9)),
      duration_text(of.record.send_delay.max()), grouped(static_cast<double>(of.record.waiting_for_pipeline)),
      duration_text(of.record.service.supported_percentile(99)));
}

// Percentiles that samples enough would support, but too few events.
std::string stalls_text(const cell& of) {
  std::string text;
  for (const double percent : {90.0, 99.0, 99.9}) {
    const auto value = of.latency().supported_percentile(percent);
    if (!value || of.supported_percentile(percent)) continue;
    text += fmt::format("  p{} would be {}, by {} stall(s) in {} windows: not told\n", percent,
                        duration_text(value), of.events_from(*value), of.slowest_of_windows.size());
  }
  return text;
}

std::string operations_text(const cell& of, const options& asked) {
  std::string text;
  for (std::size_t i = 0; i < of.record.by_operation.size(); ++i) {
    const histogram& own = of.record.by_operation[i];
    text += fmt::format(
        "  {}: {} requests, p50 {}, p99 {}, max {}\n", format_operation(asked.load.messages.operations[i].op),
        grouped(static_cast<double>(own.count())), duration_text(own.supported_percentile(50)),
        duration_text(own.supported_percentile(99)),
        duration_text(own.count() > 0 ? std::optional(own.max()) : std::nullopt));
  }
  return text;
}

// What user-space timing adds to what the kernel saw.
std::string kernel_text(const kernel_times& of) {
  std::string text = "  by the kernel's timestamps:\n";
  const auto line = [&](const char* what, const histogram& times) {
    text +=
        fmt::format("    {:<40} p50 {:>8}  p99 {:>8}  max {:>8}\n", what, duration_text(times.percentile(50)),
                    duration_text(times.supported_percentile(99)), duration_text(times.max()));
  };
  line("client, until the request was sent", of.sending);
  line("wire and server", of.outside);
  line("client, until the reply was read", of.receiving);
  line("client, both: what its clock adds", of.client);
  line("a handshake: wire, without the server", of.handshake);
  return text;
}

std::string ranks_text(const cell& of) {
  std::string text;
  for (const rank_share& each : of.ranks) {
    text += fmt::format(
        "  rank {} on {}: {} replies, client busy {:.0f} %, {}, its clock {:+.1f} us (within {:.1f} us)\n",
        each.rank, each.host, grouped(static_cast<double>(each.replies)), each.client_busy * 100,
        each.verdict, static_cast<double>(each.clock_ahead.count()) / 1e3,
        static_cast<double>(each.clock_error.count()) / 1e3);
  }
  return text;
}

// All of them by kind, the first by time and connection.
std::string errors_text(const target_record& of) {
  std::string text;
  for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
    if (of.errors[kind] == 0) continue;
    text +=
        fmt::format("{}{} {}", text.empty() ? "  errors: " : ", ", load_error_names[kind], of.errors[kind]);
    if (of.first_errno[kind] != 0) text += fmt::format(" ({})", ::strerror(of.first_errno[kind]));
  }
  if (!text.empty()) text += '\n';
  for (std::size_t i = 0; i < std::min(of.faults.size(), faults_shown); ++i) {
    const fault& each = of.faults[i];
    text += fmt::format("  {:.3f} s: {} on {}connection {}", std::chrono::duration<double>(each.at).count(),
                        name_of(each.kind), each.idle ? "idle " : "", each.connection);
    if (each.kind != load_error::refused) {
      text += fmt::format(", awaiting reply {}", each.request + 1);
      if (each.reply_bytes > 0) text += fmt::format(" of which {} bytes were right", each.reply_bytes);
    }
    text += '\n';
  }
  if (of.faults.size() > faults_shown) text += "  ... (the result file has more of them)\n";
  return text;
}

std::string details(const cell& of, const options& asked) {
  const load_spec& load = asked.load;
  std::string text = fmt::format(
      "{}: {} verified replies, effective concurrency {:.1f} of {}, Jain index {:.3f}, client busy {:.0f} %",
      of.driven.label(), grouped(static_cast<double>(of.requests_total)), of.effective_concurrency(),
      load.connections * load.pipeline, of.spread.jain_index, of.client_busy * 100);
  if (of.server) {
    text += fmt::format(", server busy {:.0f} %, {} threads", of.server->busy * 100, of.server->end.threads);
    // With fewer, the first pages of the heap are all there is.
    if (load.pattern != workload::crr && of.opened >= 100) text += memory_text(*of.server, of.opened);
  }
  text += '\n';
  if (load.pattern == workload::stream) {
    text += fmt::format("  stream: {:.1f} MB/s to the server, {:.1f} MB/s from it\n",
                        of.per_second(of.bytes_out) / 1e6, of.per_second(of.bytes_in) / 1e6);
  }
  if (asked.all_connections() >= 1000 || load.idle_connections > 0 || load.pattern == workload::crr)
    text += connecting_text(of);
  if (of.on_schedule()) text += schedule_text(of);
  text += stalls_text(of);
  if (of.record.kernel) text += kernel_text(*of.record.kernel);
  text += ranks_text(of) + operations_text(of, asked) + errors_text(of.record);
  for (const auto& reason : of.judged.reasons) text += "  " + reason + '\n';
  return text;
}

}  // namespace

std::string summary(const measurement& measured, const options& asked) {
  const load_spec& load = asked.load;
  std::string text = fmt::format(
      "{} loop, {} connections{}{}, {} B payload, {}, {}{}\n\n", asked.open_loop() ? "open" : "closed",
      load.connections, load.idle_connections > 0 ? fmt::format(" and {} idle", load.idle_connections) : "",
      load.slow_readers > 0 ? fmt::format(" and {} slow readers", load.slow_readers) : "",
      format_payloads(load.messages.payloads), name_of(measured.io.chosen),
      asked.seeks_rates()         ? fmt::format("steps of {} at least", duration_text(measured.slices.length))
      : measured.cells.size() > 1 ? fmt::format("{} targets in slices of {}", measured.cells.size(),
                                                duration_text(measured.slices.length))
                                  : duration_text(measured.elapsed),
      measured.interrupted ? ", interrupted" : "");
  if (const auto& ceiling = measured.ceiling) {
    text += fmt::format(
        "this client reaches {}/s against a null server (client busy {:.0f} %, null server {:.0f} %)\n\n",
        grouped(ceiling->throughput), ceiling->client_busy * 100, ceiling->server_busy * 100);
  }
  const std::string time = asked.open_loop() ? "response " : "";
  std::vector<std::vector<std::string>> rows{{"target", "requests/s", time + "p50", "p90", "p99", "p99.9",
                                              "max", "CPU us/req", "memory", "asked/opened/served",
                                              "verdict"}};
  for (const cell& each : measured.cells) rows.push_back(row(each, asked));
  text += table(rows) + '\n';
  for (const maximum_rate& each : measured.maximum_rates) text += maximum_rate_text(each, asked);
  if (asked.seeks_rates()) {  // a line for each would hide them
    for (const cell& each : measured.cells) text += errors_text(each.record);
    return text;
  }
  for (const cell& each : measured.cells) text += details(each, asked);
  return text;
}

std::string interval_text(const interval& seen, const cell& of, nanoseconds so_far) {
  const double seconds = std::chrono::duration<double>(seen.driven).count();
  std::string text =
      fmt::format("{:.0f} s  {}: {}/s, p50 {}, p99 {}, max {}", std::chrono::duration<double>(so_far).count(),
                  of.driven.label(), grouped(static_cast<double>(seen.requests) / seconds),
                  duration_text(seen.p50), duration_text(seen.p99), duration_text(seen.max));
  if (of.rate != 0) text += ", send delay p99 " + duration_text(seen.send_delay_p99);
  return text + fmt::format(", {} error(s)", seen.errors);
}

std::string explain_silence(const cell& of, const options& asked, bool interrupted) {
  const auto seen = [&](load_error kind) { return of.record.errors[static_cast<std::size_t>(kind)] > 0; };
  std::string why = interrupted ? "interrupted before its first verified reply" : "not one verified reply";
  if (seen(load_error::corrupt) || seen(load_error::unsolicited)) {
    why = "its replies are wrong: is it an echo server with this --framing and --op?";
  } else if (seen(load_error::rejected)) {
    why =
        "it rejected every request: see its --max-frame, --max-work and --max-sleep against --payload and "
        "--op";
  } else if (seen(load_error::refused)) {
    const int error = of.record.first_errno[static_cast<std::size_t>(load_error::refused)];
    why = error == ECONNREFUSED
              ? "nothing listens there (connection refused): start the server or correct the address"
              : fmt::format("cannot connect: {}", ::strerror(error));
  } else if (seen(load_error::timeout)) {
    why = fmt::format("it never answered within --timeout {}: is it an echo server with this --framing?",
                      format_duration(asked.load.timeout));
  } else if (seen(load_error::short_reply) || seen(load_error::reset)) {
    why = "it closed every connection before answering: look at its log, --framing and limits";
  }
  return of.driven.label() + (of.driven.name.empty() ? "" : " (" + of.driven.host_and_port + ")") + ": " +
         why;
}

}  // namespace echobench
