#include "loadgen/report/text_report.hpp"

#include "common/units.hpp"
#include "loadgen/probe/local_ports.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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

std::string grouped(double number) { return format_grouped(number); }

std::string rate_text(const cell& of) {
  return (of.judged.found == verdict::client_bound ? ">=" : "") + grouped(of.throughput());
}

std::string count_text(std::uint64_t count, const std::string& noun) {
  return grouped(static_cast<double>(count)) + ' ' + noun + (count == 1 ? "" : "s");
}

std::string cpu_text(const cell& of) {
  if (!of.server || of.requests_total == 0) return "-";
  return fmt::format(
      "{:.2f}", static_cast<double>(of.server->cpu.count()) / 1e3 / static_cast<double>(of.requests_total));
}

constexpr std::array shown_percentiles{50.0, 90.0, 99.0, 99.9};

std::vector<std::string> header(bool with_cpu) {
  std::vector<std::string> names{"target", "requests/s"};
  for (const double percent : shown_percentiles) names.push_back(fmt::format("p{}", percent));
  names.emplace_back("max");
  if (with_cpu) names.emplace_back("CPU us/req");
  names.emplace_back("verdict");
  return names;
}

std::vector<std::string> row(const cell& of, const options& asked, bool with_cpu) {
  const histogram& shown = of.latency();
  std::vector<std::string> texts{asked.seeks_rates() ? fmt::format("{} at {}/s", of.driven.label(),
                                                                   grouped(static_cast<double>(of.rate)))
                                                     : of.driven.label(),
                                 rate_text(of)};
  for (const double percent : shown_percentiles)
    texts.push_back(duration_text(of.supported_percentile(percent)));
  texts.push_back(duration_text(shown.count() > 0 ? std::optional(shown.max()) : std::nullopt));
  if (with_cpu) texts.push_back(cpu_text(of));
  // A wrong answer yields no figure.
  if (of.judged.found == verdict::wrong_replies) std::fill(texts.begin() + 1, texts.end(), duration_text({}));
  texts.emplace_back(name_of(of.judged.found));
  return texts;
}

std::string table_title(const options& asked, bool with_cpu) {
  const char* latency = asked.open_loop() ? "Response time, from when a request was due until its reply"
                        : asked.load.pattern == workload::crr
                            ? "Service time, from the start of connecting until the reply"
                            : "Service time, from when a request was sent until its reply";
  return fmt::format("{}{}\n", latency, with_cpu ? "; server CPU per request" : "");
}

// Why the table has gaps.
std::string gaps_text(const measurement& measured) {
  const auto lacks_samples = [](const cell& of) {
    return of.latency().count() > 0 && of.judged.found != verdict::wrong_replies &&
           std::ranges::any_of(shown_percentiles,
                               [&](double percent) { return !of.latency().supported_percentile(percent); });
  };
  if (std::ranges::none_of(measured.cells, lacks_samples)) return "";
  return "A percentile is shown only if 100 requests took longer: a longer --duration supports more.\n";
}

std::string maximum_rate_text(const maximum_rate& of, const options& asked) {
  const rate_search_result& search = of.found;
  const std::string lost =
      of.lost == 0 ? std::string()
                   : fmt::format(": {} of {} connections were lost", of.lost, asked.load.connections);
  const std::string unfinished = search.ended ? "" : "; the search was not finished" + lost;
  const std::string objective = format_objectives(asked.objectives);
  const std::string rate = grouped(search.estimate) + " requests/s";
  std::string text = asked.targets[of.target].label() + ": ";
  switch (search.place) {
    case maximum_place::unknown:
      return text + (search.trials.empty() ? "no rate was tried" : "no rate that was tried could be used") +
             unfinished + '\n';
    case maximum_place::at_most: return text + objective + " does not even hold at " + rate + '\n';
    case maximum_place::at_least: text += fmt::format("{} holds up to at least {}", objective, rate); break;
    case maximum_place::found:
      text += fmt::format("{} holds up to {} (between {} and {})", objective, rate,
                          search.low ? grouped(*search.low) : "?", search.high ? grouped(*search.high) : "?");
  }
  text += fmt::format("\n  {:.0f} % of the {}/s that it answered in a closed loop; {}",
                      100 * search.estimate / of.capacity, grouped(of.capacity),
                      count_text(search.trials.size(), "trial"));
  if (search.ceiling)
    text += fmt::format("; the client could not offer {}/s", grouped(static_cast<double>(*search.ceiling)));
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
      ", {:.1f} KiB per connection ({})",
      static_cast<double>(after - std::min(after, before)) / 1024 / static_cast<double>(opened),
      shared_once ? "PSS" : "RSS");
}

std::string connecting_text(const cell& of) {
  const histogram& connect = of.record.connect;
  return fmt::format("  connecting: {} connections/s, p50 {}, p99 {}, max {}\n", grouped(of.connect_rate()),
                     duration_text(connect.supported_percentile(50)),
                     duration_text(connect.supported_percentile(99)),
                     duration_text(connect.count() > 0 ? std::optional(connect.max()) : std::nullopt));
}

std::string schedule_text(const cell& of) {
  const auto& record = of.record;
  std::string text = fmt::format(
      "  sent within {} of when due: {:.2f} %; send delay p50 {}, p99.9 {}, max {}\n",
      format_duration(schedule_tolerance), *of.on_schedule() * 100,
      duration_text(record.send_delay.supported_percentile(50)),
      duration_text(record.send_delay.supported_percentile(99.9)), duration_text(record.send_delay.max()));
  text += fmt::format("  service time, from when a request was sent: p50 {}, p99 {}\n",
                      duration_text(record.service.supported_percentile(50)),
                      duration_text(record.service.supported_percentile(99)));
  if (record.waiting_for_pipeline > 0) {
    text += fmt::format("  due while the pipeline was full: {}, which waited for a reply (--pipeline, -c)\n",
                        count_text(record.waiting_for_pipeline, "request"));
  }
  return text;
}

// Percentiles that samples enough would support, but too few events.
std::string stalls_text(const cell& of) {
  std::string text;
  for (const double percent : {90.0, 99.0, 99.9}) {
    const auto value = of.latency().supported_percentile(percent);
    if (!value || of.supported_percentile(percent)) continue;
    text += fmt::format("  p{} is not shown: {} in {} windows made it {}, which a repetition would not\n",
                        percent, count_text(of.events_from(*value), "stall"), of.slowest_of_windows.size(),
                        duration_text(value));
  }
  return text;
}

std::string operations_text(const cell& of, const options& asked) {
  std::string text;
  for (std::size_t i = 0; i < of.record.by_operation.size(); ++i) {
    const histogram& times = of.record.by_operation[i];
    text += fmt::format("  {}: {}, p50 {}, p99 {}, max {}\n",
                        format_operation(asked.load.messages.operations[i].op),
                        count_text(times.count(), "request"), duration_text(times.supported_percentile(50)),
                        duration_text(times.supported_percentile(99)),
                        duration_text(times.count() > 0 ? std::optional(times.max()) : std::nullopt));
  }
  return text;
}

// What user-space timing adds to what the kernel saw.
std::string kernel_text(const kernel_times& of) {
  std::string text = "  parts of the service time, by the kernel's timestamps:\n";
  const auto line = [&](const char* what, const histogram& times) {
    text +=
        fmt::format("    {:<44} p50 {:>8}  p99 {:>8}  max {:>8}\n", what, duration_text(times.percentile(50)),
                    duration_text(times.supported_percentile(99)), duration_text(times.max()));
  };
  line("client, until the network had the request", of.sending);
  line("wire and server", of.outside);
  line("client, until it had read the reply", of.receiving);
  line("both parts of the client together", of.client);
  line("a TCP handshake, which needs no server", of.handshake);
  return text;
}

std::string ranks_text(const cell& of) {
  std::string text;
  for (const rank_share& share : of.ranks) {
    text += fmt::format(
        "  rank {} on {}: {} replies, client busy {:.0f} %, {}, clock {:+.1f} us from rank 0's (within "
        "{:.1f} "
        "us)\n",
        share.rank, share.host, grouped(static_cast<double>(share.replies)), share.client_busy * 100,
        share.verdict, static_cast<double>(share.clock_ahead.count()) / 1e3,
        static_cast<double>(share.clock_error.count()) / 1e3);
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
    const fault& seen = of.faults[i];
    text +=
        fmt::format("  at {:.3f} s: {} on {}connection {}", std::chrono::duration<double>(seen.at).count(),
                    name_of(seen.kind), seen.idle ? "idle " : "", seen.connection);
    if (seen.kind != load_error::refused && seen.kind != load_error::no_port) {
      text += fmt::format(", awaiting reply {}", seen.request + 1);
      if (seen.reply_bytes > 0) text += fmt::format(", of which {} bytes were right", seen.reply_bytes);
    }
    text += '\n';
  }
  if (of.faults.size() > faults_shown) text += "  ... (more of them are in the result, --json)\n";
  return text;
}

// Of a name that has several.
std::string address_text(const reached_target& of) {
  if (of.addresses == 1) return "";
  std::string text = fmt::format("  connected to {}, one of {} addresses of that name",
                                 of.address.to_string(), of.addresses);
  for (const std::string& refused : of.refused) text += "; " + refused;
  return text + '\n';
}

std::string connections_text(const cell& of, const options& asked) {
  const std::string all = count_text(asked.all_connections(), "connection");
  if (of.opened == asked.all_connections() && of.served == asked.load.connections) return all;
  return fmt::format("{}, of which {} opened and {} got replies", all, of.opened, of.served);
}

std::string details(const cell& of, const options& asked) {
  const load_spec& load = asked.load;
  std::string text =
      fmt::format("{}: {} verified replies on {}", of.driven.label(),
                  grouped(static_cast<double>(of.requests_total)), connections_text(of, asked));
  if (of.requests_total > 0) {
    text += fmt::format(
        ", Jain's fairness index {:.3f}\n"
        "  requests in flight: {:.1f} on average (Little's law) of at most {}",
        of.spread.jain_index, of.effective_concurrency(), load.connections * load.pipeline);
  }
  text += fmt::format("\n  busy: client {:.0f} %", of.client_busy * 100);
  if (of.server) {
    text += fmt::format(", server {:.0f} % ({}); server memory {}", of.server->busy * 100,
                        count_text(of.server->end.threads, "thread"), size_text(of.server->end.rss_bytes));
    // With fewer, the first pages of the heap are all there is.
    if (load.pattern != workload::crr && of.opened >= 100) text += memory_text(*of.server, of.opened);
  }
  text += '\n';
  text += address_text(of.reached);
  if (load.pattern == workload::stream) {
    text +=
        fmt::format("  stream: {:.1f} MB/s to the server, {:.1f} MB/s from it\n",
                    of.per_measured_second(of.bytes_out) / 1e6, of.per_measured_second(of.bytes_in) / 1e6);
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

// What was driven, and how.
std::string load_text(const measurement& measured, const options& asked) {
  const load_spec& load = asked.load;
  std::string text = asked.open_loop() ? "Open loop" : "Closed loop";
  if (asked.rate != 0) text += fmt::format(" at {} requests/s", grouped(static_cast<double>(asked.rate)));
  text += ", " + count_text(load.connections, "connection");
  if (load.idle_connections > 0) text += fmt::format(" and {} idle", load.idle_connections);
  if (load.slow_readers > 0) text += " and " + count_text(load.slow_readers, "slow reader");
  if (asked.targets.size() > 1) text += fmt::format(" to each of {} targets", asked.targets.size());
  text +=
      fmt::format(", {} B payload, {}", format_payloads(load.messages.payloads), name_of(measured.io.chosen));
  if (asked.targets.size() == 1 && !asked.seeks_rates()) {
    text += measured.elapsed.count() > 0 ? fmt::format(", {} measured", duration_text(measured.elapsed))
                                         : ", nothing measured";
  }
  if (measured.interrupted) text += ", interrupted";
  text += '\n';
  if (asked.open_loop()) {
    text += load.pace.arrival == arrivals::uniform
                ? "Requests are due at equal distances (uniform arrivals)\n"
                : "Requests are due at random times (Poisson arrivals)\n";
  }
  if (asked.seeks_rates()) {
    text += fmt::format("Each rate is driven for at least {}\n", duration_text(measured.slices.length));
  } else if (asked.targets.size() > 1) {
    text += fmt::format("The targets are driven in turn, in slices of {}\n",
                        duration_text(measured.slices.length));
  }
  if (const auto& ceiling = measured.ceiling) {
    text += fmt::format(
        "This client reaches {} requests/s against a null server, which returns what it receives\n"
        "(client busy {:.0f} %, null server busy {:.0f} %)\n",
        grouped(ceiling->throughput), ceiling->client_busy * 100, ceiling->server_busy * 100);
  }
  return text + '\n';
}

}  // namespace

std::string summary(const measurement& measured, const options& asked) {
  const bool with_cpu =
      std::ranges::any_of(measured.cells, [](const cell& of) { return of.server.has_value(); });
  std::string text = load_text(measured, asked) + table_title(asked, with_cpu);
  std::vector<std::vector<std::string>> rows{header(with_cpu)};
  for (const cell& of : measured.cells) rows.push_back(row(of, asked, with_cpu));
  text += table(rows) + gaps_text(measured) + '\n';
  for (const maximum_rate& of : measured.maximum_rates) text += maximum_rate_text(of, asked);
  if (asked.seeks_rates()) {  // a line for each would hide them
    for (const cell& of : measured.cells) text += errors_text(of.record);
    return text;
  }
  for (const cell& of : measured.cells) text += details(of, asked);
  return text;
}

std::string interval_text(const interval& seen, const cell& of, nanoseconds so_far) {
  const double seconds = std::chrono::duration<double>(seen.driven).count();
  std::string text =
      fmt::format("{:.0f} s  {}: {}/s", std::chrono::duration<double>(so_far).count(), of.driven.label(),
                  grouped(seconds > 0 ? static_cast<double>(seen.requests) / seconds : 0));
  if (seen.requests > 0) {
    text += fmt::format(", p50 {}, p99 {}, max {}", duration_text(seen.p50), duration_text(seen.p99),
                        duration_text(seen.max));
    if (of.rate != 0) text += ", send delay p99 " + duration_text(seen.send_delay_p99);
  }
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
  } else if (seen(load_error::no_port)) {
    why = "cannot connect: " + out_of_ports(read_local_ports());
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
