#include "loadgen/verdict/verdict.hpp"

#include "common/units.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace echobench {
namespace {

using std::chrono::nanoseconds;

constexpr double busy_limit = 0.95;
constexpr double kept_away_limit = 0.1;
constexpr double kept_away_mentioned = 0.02;
constexpr double schedule_limit = 0.95;
constexpr double clean_schedule = 0.999;
constexpr double concurrency_limit = 0.8;
constexpr double ceiling_limit = 0.9;
constexpr double stolen_limit = 0.02;
constexpr double fairness_limit = 0.9;
constexpr double imbalance_limit = 1.5;
constexpr double idle_limit = 0.01;
constexpr std::int64_t replies_in_a_row = 10;  // that fit in the measured time

std::string meaning_of(load_error kind, const evidence& of) {
  switch (kind) {
    case load_error::refused:
      if (of.refused_errno == 0 || of.refused_errno == ECONNREFUSED)
        return "connection(s) refused: is the server there, with backlog and descriptors enough?";
      return fmt::format("connection(s) could not be opened: {}", std::strerror(of.refused_errno));
    case load_error::no_port:
      return "connection(s) were not opened: " + out_of_ports(of.ports.value_or(local_ports()));
    case load_error::reset: return "connection(s) reset by the server";
    case load_error::timeout: return "connection(s) without an answer in time: see --timeout";
    case load_error::short_reply: return "connection(s) closed by the server while still wanted";
    case load_error::rejected:
      return "request(s) rejected by an error status: see the server's --max-frame, --max-work and "
             "--max-sleep";
    case load_error::corrupt: return "wrong replies: bytes differ from what the request asks for";
    case load_error::unsolicited: return "wrong replies: bytes that no request had asked for";
  }
  return "";
}

std::string percent(double share) { return fmt::format("{:.0f} %", share * 100); }

// Requests, or requests per second.
std::string number(double of) { return of < 100 ? fmt::format("{:.3g}", of) : format_grouped(of); }

void judge_errors(const evidence& of, judgement& result) {
  for (const bool wrong : {true, false}) {
    for (std::size_t i = 0; i < load_error_kinds; ++i) {
      const auto kind = static_cast<load_error>(i);
      if (of.errors[i] == 0 || is_wrong_reply(kind) != wrong) continue;
      result.add(wrong ? verdict::wrong_replies : verdict::errors,
                 fmt::format("{} {}", of.errors[i], meaning_of(kind, of)));
    }
  }
  if (of.replies == 0) {
    result.add(verdict::errors, "not one verified reply");
  } else if (of.answered == 0) {
    result.add(verdict::errors,
               "not one request of the measured time was answered: measure longer (--duration; with several "
               "targets or rates --slice)");
  }
}

// Whether the client did what was asked of it.
void judge_client(const evidence& of, judgement& result) {
  const bool kept_schedule = !of.open_loop || !of.on_schedule || *of.on_schedule >= schedule_limit;
  const bool server_is_bottleneck = of.server_busy.value_or(0) >= busy_limit;
  const std::string consequence =
      of.open_loop ? "latency includes the client's own delay" : "the figure is a lower bound";
  const std::string lower_rate = of.open_loop ? ", or lower --rate" : "";
  // In a closed loop the server's figures stand as long as it is the bottleneck, whatever the client waits
  // for.
  const bool kept_away = of.kept_away >= kept_away_limit && (of.open_loop || !server_is_bottleneck);
  if (!kept_schedule) {
    result.add(
        verdict::client_bound,
        fmt::format("only {:.1f} % of the sends were on schedule: lower --rate, or give the client more "
                    "CPU (--threads, --cpus)",
                    *of.on_schedule * 100));
  }
  if (kept_away) {
    result.add(
        verdict::client_bound,
        fmt::format("a client thread was kept from its CPU for {} of the time (other threads had it, a CPU "
                    "quota was used up, or the client was stopped): {}; give the client CPUs of its own "
                    "(--cpus), a higher priority or quota{}",
                    percent(of.kept_away), consequence, lower_rate));
  } else if (kept_schedule && of.client_busy >= busy_limit && !server_is_bottleneck) {
    // In the open loop, too: requests may be sent in time while replies wait to be read.
    result.add(
        verdict::client_bound,
        fmt::format(
            "a client thread had work {} of the time (all that it neither slept nor polled for events: "
            "what it waited for a CPU counts, and what the hypervisor took) while {}: {}; give the client "
            "more CPU (--threads, --cpus){}",
            percent(of.client_busy),
            of.server_busy ? fmt::format("the server used {} of its CPUs", percent(*of.server_busy))
                           : "the server's CPU is not known (--server-pid)",
            consequence, lower_rate));
  }
  if (of.open_loop && kept_schedule && of.on_schedule && *of.on_schedule < clean_schedule) {
    result.add(
        verdict::valid,
        fmt::format("{:.2f} % of the sends were on schedule, less than {:.1f} %: high percentiles include "
                    "some of the client's own send delay",
                    *of.on_schedule * 100, clean_schedule * 100));
  }
  if (!kept_away && of.kept_away >= kept_away_mentioned) {
    result.add(verdict::valid, fmt::format("a client thread was kept from its CPU for {:.1f} % of the time: "
                                           "latency includes that",
                                           of.kept_away * 100));
  }
}

// Whether the server answered what the open loop offered.
void judge_backlog(const evidence& of, judgement& result) {
  if (of.backlog && !of.backlog->kept_up()) {
    result.add(
        verdict::overloaded,
        fmt::format("the server answered {} of {} requests/s offered, and {} requests were left behind: "
                    "lower --rate, or give the server more CPU; latency is what users would see at that "
                    "rate, but a cost per request is not one at that load",
                    number(of.throughput), number(of.offered), number(of.backlog->left_behind())));
  }
  if (of.dropped == 0) return;
  // With a connection that failed, or because neither end was quick enough.
  const bool explained = result.found < verdict::starved;
  result.add(explained ? result.found : verdict::errors,
             fmt::format("{} request(s) were due and were not sent before --timeout had passed",
                         format_grouped(static_cast<double>(of.dropped))));
}

void judge_connections(const evidence& of, judgement& result) {
  if (of.served < of.connections) {
    result.add(verdict::starved,
               fmt::format("{} of {} connections got no reply", of.connections - of.served, of.connections));
  }
  if (of.spread.jain_index < fairness_limit * of.jain_index_by_chance) {
    result.add(verdict::starved,
               fmt::format("replies are spread unevenly over the connections{}: Jain index {:.2f}",
                           of.spread.connections_per_loop.size() > 1 ? " of a server's loop" : "",
                           of.spread.jain_index));
  }
  if (of.concurrency_asked && of.replies > 0 && of.concurrency < concurrency_limit * *of.concurrency_asked) {
    result.add(verdict::starved,
               fmt::format("{:.1f} requests were in flight on average where {:.0f} were asked for",
                           of.concurrency, *of.concurrency_asked));
  }
  if (const auto& loops = of.spread.connections_per_loop; !loops.empty()) {
    const auto [fewest, most] = std::ranges::minmax(loops);
    if (static_cast<double>(most) > imbalance_limit * static_cast<double>(fewest)) {
      result.add(verdict::valid,
                 fmt::format("connections are divided unevenly over the server's loops: {} to {} for each",
                             fewest, most));
    }
  }
}

// What a reader must know of figures that stand.
void add_remarks(const evidence& of, judgement& result) {
  if (of.answered > 0 && of.service * replies_in_a_row > of.measured_at_a_time) {
    const auto enough = std::chrono::ceil<std::chrono::seconds>(of.service * replies_in_a_row);
    result.add(verdict::valid,
               fmt::format(
                   "a reply took {:.3g} s on average, and the measurement lasted {:.3g} s: that is too short "
                   "for such replies, its figures rest on {} of them; measure {} or longer (--duration; with "
                   "several targets or rates --slice)",
                   std::chrono::duration<double>(of.service).count(),
                   std::chrono::duration<double>(of.measured_at_a_time).count(),
                   number(static_cast<double>(of.answered)), format_duration(enough)));
  }
  if (of.ceiling_share >= ceiling_limit) {
    result.add(
        verdict::valid,
        fmt::format("that is {} of what this client reaches here against a null server: a faster server "
                    "would not look faster",
                    percent(of.ceiling_share)));
  }
  if (of.idle_share > idle_limit) {
    result.add(verdict::valid,
               fmt::format("the server used {:.1f} % of a CPU while it was not driven", of.idle_share * 100));
  }
  if (of.listen_overflows > 0) {
    result.add(verdict::valid, fmt::format("{} connection(s) found the accept queue of a listener here full: "
                                           "connects take 1 s or longer (--backlog of the server, "
                                           "net.core.somaxconn)",
                                           of.listen_overflows));
  }
  if (of.retransmissions > 0) {
    result.add(
        verdict::valid,
        fmt::format("{} TCP segment(s) were sent again meanwhile on this machine: what waits for one waits "
                    "for 200 ms or longer",
                    of.retransmissions));
  }
  if (of.stolen_share > stolen_limit) {
    result.add(
        verdict::valid,
        fmt::format("the hypervisor took {:.1f} % of a CPU meanwhile (steal): times are too long by what it "
                    "took",
                    of.stolen_share * 100));
  }
  if (!of.server_remark.empty()) result.add(verdict::valid, of.server_remark);
  if (of.beyond_histogram > 0) {
    result.add(verdict::valid,
               fmt::format("{} replies took longer than 100 s and count as 100 s", of.beyond_histogram));
  }
}

}  // namespace

std::string_view name_of(verdict of) noexcept {
  switch (of) {
    case verdict::wrong_replies: return "wrong-replies";
    case verdict::errors: return "errors";
    case verdict::client_bound: return "client-bound";
    case verdict::overloaded: return "overloaded";
    case verdict::starved: return "starved";
    case verdict::valid: return "valid";
  }
  return "";
}

void judgement::add(verdict of, std::string reason) {
  found = std::min(found, of);
  reasons.push_back(std::move(reason));
}

judgement judge(const evidence& of) {
  judgement result;
  judge_errors(of, result);
  judge_client(of, result);
  judge_backlog(of, result);
  judge_connections(of, result);
  add_remarks(of, result);
  return result;
}

}  // namespace echobench
