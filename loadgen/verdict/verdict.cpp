#include "loadgen/verdict/verdict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace echobench {
namespace {

constexpr double busy_limit = 0.95;
constexpr double schedule_limit = 0.95;
constexpr double clean_schedule = 0.999;
constexpr double concurrency_limit = 0.8;
constexpr double ceiling_limit = 0.9;
constexpr double stolen_limit = 0.02;
constexpr double fairness_limit = 0.9;
constexpr double imbalance_limit = 1.5;
constexpr double idle_limit = 0.01;

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

}  // namespace

std::string_view name_of(verdict of) noexcept {
  switch (of) {
    case verdict::wrong_replies: return "wrong-replies";
    case verdict::errors: return "errors";
    case verdict::client_bound: return "client-bound";
    case verdict::starved: return "starved";
    case verdict::valid: return "valid";
  }
  return "";
}

judgement judge(const evidence& of) {
  judgement result;
  const auto add = [&](verdict found, std::string reason) {
    result.found = std::min(result.found, found);
    result.reasons.push_back(std::move(reason));
  };

  for (const bool wrong : {true, false}) {
    for (std::size_t i = 0; i < load_error_kinds; ++i) {
      const auto kind = static_cast<load_error>(i);
      if (of.errors[i] == 0 || is_wrong_reply(kind) != wrong) continue;
      add(wrong ? verdict::wrong_replies : verdict::errors,
          fmt::format("{} {}", of.errors[i], meaning_of(kind, of)));
    }
  }
  if (of.dropped > 0)
    add(verdict::errors, fmt::format("{} request(s) were due and could not be sent", of.dropped));
  if (of.replies == 0) add(verdict::errors, "not one verified reply");

  const bool kept = !of.open_loop || !of.on_schedule || *of.on_schedule >= schedule_limit;
  if (!kept) {
    add(verdict::client_bound,
        fmt::format("only {:.1f} % of the sends were on schedule: lower --rate, or give the client more CPU "
                    "(--threads, --cpus)",
                    *of.on_schedule * 100));
  } else if (of.client_busy >= busy_limit && of.server_busy.value_or(0) < busy_limit) {
    // In the open loop, too: requests may be taken in hand in time while replies wait to be read.
    add(verdict::client_bound,
        fmt::format(
            "a client thread had work {:.0f} % of the time (all but what it slept or polled for events: "
            "waits for a CPU count, and what the hypervisor took) while {}: {}; give the client more CPU "
            "(--threads, --cpus){}",
            of.client_busy * 100,
            of.server_busy ? fmt::format("the server used {:.0f} % of its CPUs", *of.server_busy * 100)
                           : "the server's CPU is not known (--server-pid)",
            of.open_loop ? "latency holds the client's own delay" : "the figure is a lower bound",
            of.open_loop ? ", or lower --rate" : ""));
  }
  if (of.open_loop && kept && of.on_schedule && *of.on_schedule < clean_schedule) {
    add(verdict::valid,
        fmt::format(
            "{:.2f} % of the sends were on schedule, less than {:.1f} %: high percentiles hold some of "
            "the client's own send delay",
            *of.on_schedule * 100, clean_schedule * 100));
  }

  if (of.served < of.connections) {
    add(verdict::starved,
        fmt::format("{} of {} connections got no reply", of.connections - of.served, of.connections));
  }
  if (of.spread.jain_index < fairness_limit) {
    add(verdict::starved, fmt::format("replies are spread unevenly over the connections{}: Jain index {:.2f}",
                                      of.spread.connections_per_loop.size() > 1 ? " of a server's loop" : "",
                                      of.spread.jain_index));
  }
  if (of.concurrency_asked && of.replies > 0 && of.concurrency < concurrency_limit * *of.concurrency_asked) {
    add(verdict::starved,
        fmt::format("by Little's law {:.1f} requests were in flight where {:.0f} were asked for: "
                    "the rest waited for nothing that was counted",
                    of.concurrency, *of.concurrency_asked));
  }
  if (const auto& loops = of.spread.connections_per_loop; !loops.empty()) {
    const auto [fewest, most] = std::ranges::minmax(loops);
    if (static_cast<double>(most) > imbalance_limit * static_cast<double>(fewest)) {
      add(verdict::valid,
          fmt::format("connections are divided unevenly over the server's loops: {} to {} for each", fewest,
                      most));
    }
  }
  if (of.ceiling_share >= ceiling_limit) {
    add(verdict::valid,
        fmt::format("that is {:.0f} % of what this client reaches here against a null server: a faster "
                    "server would not look faster",
                    of.ceiling_share * 100));
  }
  if (of.idle_share > idle_limit) {
    add(verdict::valid,
        fmt::format("the server used {:.1f} % of a CPU while it was not driven", of.idle_share * 100));
  }
  if (of.listen_overflows > 0) {
    add(verdict::valid,
        fmt::format("{} connection(s) found the accept queue of a listener here full: connects "
                    "take 1 s or longer (--backlog of the server, net.core.somaxconn)",
                    of.listen_overflows));
  }
  if (of.retransmissions > 0) {
    add(verdict::valid,
        fmt::format("{} TCP segment(s) were sent again meanwhile on this machine: what waits for "
                    "one waits for 200 ms or longer",
                    of.retransmissions));
  }
  if (of.stolen_share > stolen_limit) {
    add(verdict::valid,
        fmt::format("the hypervisor took {:.1f} % of a CPU meanwhile (steal): times are too long by "
                    "what it took",
                    of.stolen_share * 100));
  }
  if (!of.server_remark.empty()) add(verdict::valid, of.server_remark);
  if (of.beyond_histogram > 0) {
    add(verdict::valid,
        fmt::format("{} replies took longer than 100 s and count as 100 s", of.beyond_histogram));
  }
  return result;
}

}  // namespace echobench
