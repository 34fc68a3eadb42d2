#include "loadgen/report/json_report.hpp"

#include "common/build_info.hpp"
#include "loadgen/probe/host_info.hpp"
#include "loadgen/record/hdr_encoding.hpp"

#include <CLI/Version.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace echobench {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<const char*, double>, 6> percentiles{
    {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}, {"p99.999", 99.999}}};

std::string utc(std::chrono::system_clock::time_point time) {
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(milliseconds);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (milliseconds - seconds).count());
}

json latencies(const histogram& of) {
  json times = json::object();
  if (of.count() == 0) return times;
  times["count"] = of.count();
  times["mean"] = of.mean().count();
  times["max"] = of.max().count();
  for (const auto& [name, percent] : percentiles) {
    if (const auto value = of.supported_percentile(percent)) times[name] = value->count();
  }
  return times;
}

// The one that counts; with how many events each percentile rests on.
json counting_latencies(const cell& of) {
  json times = latencies(of.latency());
  for (const auto& [name, percent] : percentiles) {
    if (!times.contains(name)) continue;
    if (const auto value = of.supported_percentile(percent)) {
      times["events"][name] = of.events_from(*value);
    } else {
      times.erase(name);
    }
  }
  return times;
}

json tool() {
  return {{"name", "echo-load"},
          {"version", build_info::version},
          {"commit", build_info::commit},
          {"dirty", build_info::dirty},
          {"compiler", build_info::compiler},
          {"flags", build_info::flags},
          {"libraries",
           {{"CLI11", CLI11_VERSION},
            {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
            {"nlohmann-json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                          NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
            {"zlib", ::zlibVersion()}}}};
}

std::string name_of(framing of) {
  return of == framing::frame ? "frame" : of == framing::line ? "line" : "raw";
}

std::string name_of(workload of) {
  return of == workload::rr ? "rr" : of == workload::crr ? "crr" : "stream";
}

json config(const options& asked, const measurement& measured) {
  const load_spec& load = asked.load;
  const message_spec& messages = load.messages;
  const auto& operations = messages.operations;
  const auto& [first, weight] = operations.front();
  const auto op = format_operations(operations);
  json settings{
      {"connections", load.connections},
      {"idle_connections", load.idle_connections},
      {"slow_readers", load.slow_readers},
      {"duration_ns", asked.duration.count()},
      {"threads", asked.threads},
      {"loop", asked.open_loop() ? "open" : "closed"},
      {"warmup_ns", asked.warmup.count()},
      {"payload", format_payloads(messages.payloads)},
      {"payload_bytes", std::llround(messages.mean_payload())},
      {"pipeline", load.pipeline},
      {"op", operations.size() == 1 ? op.substr(0, op.find(':')) : op},
      {"offload", std::ranges::any_of(operations, [](const auto& part) { return part.op.offload; })},
      {"framing", name_of(messages.frames)},
      {"workload", name_of(load.pattern)},
      {"timeout_ns", load.timeout.count()},
      {"engine", name_of(measured.io.chosen)},
      {"engine_reason", measured.io.reason},
      {"slice", asked.slice ? "explicit" : "auto"},
      {"slice_ns", measured.slices.length.count()},
      {"settling_ns", measured.slices.settling.count()},
      {"rounds", asked.rounds},
      {"seed", asked.seed},
      {"strict", asked.strict},
      {"busy_poll", load.busy_poll}};
  if (asked.rate != 0) settings["rate_per_s"] = asked.rate;
  if (asked.sweep) settings["sweep"] = format_sweep(*asked.sweep);
  if (!asked.objectives.empty()) settings["slo"] = format_objectives(asked.objectives);
  if (asked.open_loop()) {
    settings["arrivals"] = load.pace.arrival == arrivals::uniform ? "uniform" : "poisson";
    settings["schedule_tolerance_ns"] = schedule_tolerance.count();
  }
  if (operations.size() == 1 && first.param.count() != 0) settings["op_param_us"] = first.param.count();
  if (load.pattern == workload::crr) settings["close"] = "reset";
  if (load.slow_readers > 0) settings["slow_read_bytes_per_s"] = load.slow_read_rate;
  if (const auto& think = load.pace.think; think.mean.count() > 0) {
    settings["think_ns"] = think.mean.count();
    settings["think"] = think.exponential ? "exponential" : "constant";
  }
  if (const auto& on_off = load.pace.on_off; on_off.off.count() > 0) {
    settings["bursts"] = {{"on_ns", on_off.on.count()}, {"off_ns", on_off.off.count()}};
  }
  if (load.connect_rate != 0) settings["connect_rate_per_s"] = load.connect_rate;
  if (!asked.cpus.empty()) settings["cpus"] = format_cpu_list(asked.cpus);
  return settings;
}

json faults(const std::vector<fault>& of) {
  json list = json::array();
  for (const fault& seen : of) {
    json entry{{"kind", name_of(seen.kind)},
               {"at_ns", seen.at.count()},
               {"connection", seen.connection},
               {"request", seen.request},
               {"reply_bytes", seen.reply_bytes}};
    if (seen.error != 0) entry["errno"] = seen.error;
    if (seen.idle) entry["idle"] = true;
    list.push_back(std::move(entry));
  }
  return list;
}

// Of each client thread's own requests, pooled.
json arrivals_sent(const cell& of) {
  const arrival_gaps& sent = of.record.sent_gaps;
  const arrival_gaps& due = of.record.due_gaps;
  return {{"streams", of.client_times.size()},
          {"coefficient_of_variation", sent.coefficient_of_variation()},
          {"coefficient_of_variation_expected", due.coefficient_of_variation()},
          {"gaps_below_10us", sent.share_below_short()},
          {"gaps_below_10us_expected", due.share_below_short()}};
}

json client_threads(const cell& of) {
  json threads = json::array();
  for (const client_time& thread : of.client_times) {
    json entry{{"elapsed_ns", thread.elapsed.count()},
               {"busy_ns", thread.busy().count()},
               {"late_ns", thread.late.count()},
               {"polling_ns", thread.polling.count()},
               {"blocked_ns", thread.blocked.count()}};
    if (thread.waiting) entry["cpu_wait_ns"] = thread.waiting->count();
    threads.push_back(std::move(entry));
  }
  return threads;
}

json ranks(const cell& of) {
  json list = json::array();
  for (const rank_share& share : of.ranks) {
    json entry{{"rank", share.rank},
               {"host", share.host},
               {"replies", share.replies},
               {"errors", share.errors},
               {"client_busy", share.client_busy},
               {"clock_ahead_ns", share.clock_ahead.count()},
               {"clock_error_ns", share.clock_error.count()},
               {"verdict", share.verdict}};
    if (share.due > 0)
      entry["schedule_adherence"] = static_cast<double>(share.on_schedule) / static_cast<double>(share.due);
    list.push_back(std::move(entry));
  }
  return list;
}

json system(const system_counters& of) {
  json counters = json::object();
  if (of.listen_overflows) counters["listen_overflows"] = *of.listen_overflows;
  if (of.retransmissions) counters["retransmitted_segments"] = *of.retransmissions;
  if (of.stolen) counters["steal_ns"] = of.stolen->count();
  return counters;
}

json maximum_rates_to_json(const measurement& of) {
  json list = json::array();
  for (const maximum_rate& rate : of.maximum_rates) {
    const rate_search_result& search = rate.found;
    json entry{{"place", name_of(search.place)},
               {"capacity_per_s", rate.capacity},
               {"rate_per_s", search.estimate},
               {"cells", rate.cells},
               {"connections_lost", rate.lost}};
    if (search.ended) entry["ended"] = name_of(*search.ended);
    if (search.low) entry["low_per_s"] = *search.low;
    if (search.high) entry["high_per_s"] = *search.high;
    if (search.ceiling) entry["client_ceiling_per_s"] = *search.ceiling;
    for (const rate_trial& trial : search.trials) {
      entry["trials"].push_back({{"rate_per_s", trial.rate}, {"outcome", name_of(trial.outcome)}});
    }
    list.push_back(std::move(entry));
  }
  return list;
}

json by_operation(const cell& of, const options& asked) {
  json by_name = json::object();
  const auto& operations = asked.load.messages.operations;
  for (std::size_t i = 0; i < of.record.by_operation.size(); ++i) {
    by_name[format_operation(operations[i].op)] = latencies(of.record.by_operation[i]);
  }
  return by_name;
}

json server(const server_use& use, pid_t pid, bool verified, std::uint64_t requests) {
  // The tick counts of /proc know user from system time; the sum is known exactly.
  const auto user = (use.end.cpu_user - use.begin.cpu_user).count();
  const auto system = (use.end.cpu_system - use.begin.cpu_system).count();
  const double user_share =
      user + system > 0 ? static_cast<double>(user) / static_cast<double>(user + system) : 0;
  const auto cpu_user = static_cast<std::int64_t>(static_cast<double>(use.cpu.count()) * user_share);
  const auto since_begin = [&](std::uint64_t server_reading::*counter) {
    return use.end.*counter - std::min(use.end.*counter, use.begin.*counter);  // threads may have ended
  };
  json fields{{"pid", pid},
              {"pid_verified", verified},
              {"cpu_ns", use.cpu.count()},
              {"cpu_user_ns", cpu_user},
              {"cpu_system_ns", use.cpu.count() - cpu_user},
              {"cpu_children_ns", use.cpu_children.count()},
              {"idle_cpu_ns", use.cpu_idle.count()},
              {"busy", use.busy},
              {"rss_base_bytes", use.base.rss_bytes},
              {"rss_bytes", use.end.rss_bytes},
              {"page_table_base_bytes", use.base.page_table_bytes},
              {"page_table_bytes", use.end.page_table_bytes},
              {"threads_base", use.base.threads},
              {"threads", use.end.threads},
              {"voluntary_switches", since_begin(&server_reading::voluntary_switches)},
              {"involuntary_switches", since_begin(&server_reading::involuntary_switches)},
              {"minor_faults", since_begin(&server_reading::minor_faults)},
              {"major_faults", since_begin(&server_reading::major_faults)},
              {"kernel_stack_estimate_base_bytes", use.base.kernel_stack_estimate_bytes()},
              {"kernel_stack_estimate_bytes", use.end.kernel_stack_estimate_bytes()}};
  if (requests > 0) {
    json per_request = json::object();
    for (const char* name : {"cpu_user_ns", "cpu_system_ns", "voluntary_switches", "involuntary_switches",
                             "minor_faults", "major_faults"}) {
      per_request[name] = fields[name].get<double>() / static_cast<double>(requests);
    }
    fields["per_request"] = std::move(per_request);
  }
  json whole_system = json::object();
  const auto add = [&](const std::string& name, std::optional<std::uint64_t> value) {
    if (value) whole_system[name] = *value;
  };
  add("kernel_stack_base_bytes", use.base.system_kernel_stack_bytes);
  add("kernel_stack_bytes", use.end.system_kernel_stack_bytes);
  add("tcp_memory_base_bytes", use.base.system_tcp_memory_bytes);
  add("tcp_memory_bytes", use.end.system_tcp_memory_bytes);
  fields["system"] = std::move(whole_system);
  if (use.base.pss_bytes) fields["pss_base_bytes"] = *use.base.pss_bytes;
  if (use.end.pss_bytes) fields["pss_bytes"] = *use.end.pss_bytes;
  return fields;
}

json slices(const cell& of, const slice_plan& plan) {
  json list = json::array();
  for (const slice& part : of.slices) {
    json entry{{"index", part.index},
               {"requests", part.requests},
               {"elapsed_ns", part.elapsed.count()},
               {"requests_total", part.requests_total},
               {"client_cpu_ns", part.client_cpu.count()},
               {"settling_ns", plan.settling.count()},
               {"slice_ns", plan.length.count()}};
    if (part.server_cpu) entry["server_cpu_ns"] = part.server_cpu->count();
    list.push_back(std::move(entry));
  }
  return list;
}

json cell_to_json(const cell& of, const options& asked, const slice_plan& plan) {
  json errors = json::object();
  for (std::size_t kind = 0; kind < load_error_kinds; ++kind) {
    if (of.record.errors[kind] > 0) errors[std::string(load_error_names[kind])] = of.record.errors[kind];
  }
  json histograms = json::object();
  if (of.record.service.count() > 0) histograms["service"] = encode_hdr_v2_base64(of.record.service);
  if (of.record.response.count() > 0) histograms["response"] = encode_hdr_v2_base64(of.record.response);
  if (of.record.send_delay.count() > 0) histograms["send_delay"] = encode_hdr_v2_base64(of.record.send_delay);
  if (of.record.connect.count() > 0) histograms["connect"] = encode_hdr_v2_base64(of.record.connect);

  json fields{
      {"target", of.driven.host_and_port},
      {"address", of.reached.address.to_string()},
      {"variant", of.driven.label()},
      {"verdict", name_of(of.judged.found)},
      {"reasons", of.judged.reasons},
      {"connections",
       {{"asked", asked.all_connections()},
        {"idle", asked.load.idle_connections},
        {"opened", of.opened},
        {"served", of.served}}},
      {"connect_ns", latencies(of.record.connect)},
      {"connects_per_s", of.connect_rate()},
      {"requests", of.requests},
      {"requests_total", of.requests_total},
      {"bytes_out", of.bytes_out},
      {"bytes_in", of.bytes_in},
      {"bytes_out_per_s", of.per_measured_second(of.bytes_out)},
      {"bytes_in_per_s", of.per_measured_second(of.bytes_in)},
      {"elapsed_ns", of.elapsed.count()},
      {"measured_ns", of.measured.count()},
      {"throughput_per_s", of.throughput()},
      {"errors", std::move(errors)},
      {"service_ns", of.rate != 0 ? latencies(of.record.service) : counting_latencies(of)},
      {"response_ns", of.rate != 0 ? counting_latencies(of) : json::object()},
      {"effective_concurrency", of.effective_concurrency()},
      {"jain_index", of.jain_index},
      {"longest_wait", {{"ns", of.longest_wait.time.count()}, {"connection", of.longest_wait.connection}}},
      {"slowest_connection",
       {{"connection", of.slowest.connection}, {"share", of.slowest.share}, {"replies", of.slowest.replies}}},
      {"client_threads", client_threads(of)},
      {"system", system(of.system)},
      {"faults", faults(of.record.faults)},
      {"fairness",
       {{"jain_index", of.spread.jain_index},
        {"loops", of.spread.connections_per_loop.size()},
        {"connections_per_loop", of.spread.connections_per_loop}}},
      {"client_cpu_ns", of.client_cpu.count()},
      {"client_polling_ns", of.client_polling.count()},
      {"client_blocked_ns", of.client_blocked.count()},
      {"client_busy", of.client_busy},
      {"client_kept_away", of.client_kept_away},
      {"busy_poll", asked.load.busy_poll},
      {"histograms", std::move(histograms)},
      {"windows", of.slowest_of_windows.size()},
      {"slices", slices(of, plan)}};
  if (of.reached.addresses > 1) fields["addresses"] = of.reached.addresses;
  if (!of.reached.refused.empty()) fields["refused_addresses"] = of.reached.refused;
  if (of.client_waiting) fields["client_cpu_wait_ns"] = of.client_waiting->count();
  if (of.capacity > 0) fields["capacity_per_s"] = of.capacity;
  if (of.rate != 0) {
    fields["offered_per_s"] = of.rate;
    fields["requests_due"] = of.due;
    fields["requests_dropped"] = of.record.dropped;
    fields["requests_waiting_for_pipeline"] = of.record.waiting_for_pipeline;
    fields["send_delay_ns"] = latencies(of.record.send_delay);
    if (const auto share = of.on_schedule()) fields["schedule_adherence"] = *share;
    if (of.record.sent_gaps.count > 0) fields["arrivals_sent"] = arrivals_sent(of);
  }
  if (!of.record.by_operation.empty()) fields["by_operation_ns"] = by_operation(of, asked);
  if (!of.ranks.empty()) fields["ranks"] = ranks(of);
  if (of.record.kernel) {
    const kernel_times& kernel = *of.record.kernel;
    fields["kernel_ns"] = {{"sending", latencies(kernel.sending)},
                           {"outside", latencies(kernel.outside)},
                           {"receiving", latencies(kernel.receiving)},
                           {"client", latencies(kernel.client)},
                           {"handshake", latencies(kernel.handshake)}};
  }
  if (of.server) {
    fields["server"] = server(*of.server, *of.driven.server_pid, of.checked.verified, of.requests_total);
    if (of.requests_total > 0) {
      fields["cpu_ns_per_request"] =
          static_cast<double>(of.server->cpu.count()) / static_cast<double>(of.requests_total);
    }
  }
  return fields;
}

}  // namespace

json to_json(const measurement& measured, const options& asked, std::span<const std::string> argv) {
  json cells = json::array();
  for (const cell& of : measured.cells) cells.push_back(cell_to_json(of, asked, measured.slices));
  json document{{"schema_version", 2},
                {"tool", tool()},
                {"host", describe_host()},
                {"config", config(asked, measured)},
                {"argv", argv},
                {"started_at", utc(measured.started)},
                {"finished_at", utc(measured.finished)},
                {"interrupted", measured.interrupted},
                {"cells", std::move(cells)}};
  if (const auto& ceiling = measured.ceiling) {
    document["client_ceiling"] = {{"throughput_per_s", ceiling->throughput},
                                  {"client_busy", ceiling->client_busy},
                                  {"server_busy", ceiling->server_busy}};
  }
  if (!measured.maximum_rates.empty()) {
    document["maximum_rates"] = maximum_rates_to_json(measured);
    for (std::size_t i = 0; i < measured.maximum_rates.size(); ++i) {
      const target& searched = asked.targets[measured.maximum_rates[i].target];
      document["maximum_rates"][i]["variant"] = searched.label();
      document["maximum_rates"][i]["target"] = searched.host_and_port;
    }
  }
  return document;
}

}  // namespace echobench
