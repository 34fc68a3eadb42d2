#include "loadgen/probe/server_check.hpp"

#include "common/proc_files.hpp"
#include "loadgen/probe/host_addresses.hpp"
#include "loadgen/probe/listening_sockets.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <system_error>
#include <vector>

namespace echobench {
namespace {

constexpr std::size_t pids_named = 8;

std::string option_text(pid_t pid) { return "--server-pid " + std::to_string(pid); }

// `process 17 (echo-server)`, `processes 17 (echo-server), 18 (echo-server)`
std::string describe(const std::set<pid_t>& pids) {
  std::string text = pids.size() == 1 ? "process " : "processes ";
  std::size_t count = 0;
  for (const pid_t pid : pids) {
    if (count > 0) text += ", ";
    if (count++ == pids_named) return text + "...";
    std::string name = read_file(proc_of(pid) / "comm");
    name.resize(std::min(name.find('\n'), name.size()));
    text += std::to_string(pid) + (name.empty() ? "" : " (" + name + ")");
  }
  return text;
}

// Empty: not readable.
std::string network_namespace_of(const std::string& pid) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/" + pid + "/ns/net", error).string();
}

bool is_elsewhere(pid_t pid) {
  const auto space = network_namespace_of(std::to_string(pid));
  return !space.empty() && space != network_namespace_of("self");
}

bool contains(const std::vector<pid_t>& pids, pid_t pid) {
  return std::ranges::find(pids, pid) != pids.end();
}

// Who has which of the listening sockets open.
struct listeners {
  std::set<pid_t> within;      // the server's processes
  std::set<pid_t> others;      // any other
  std::set<inode> owned;       // by one of them
  std::set<pid_t> unreadable;  // of the server's processes

  listeners(const std::vector<pid_t>& server, const std::set<inode>& sockets) {
    for (const pid_t pid : all_processes()) {
      const bool is_servers = contains(server, pid);
      const auto open = sockets_of(pid, sockets);
      if (!open && is_servers) unreadable.insert(pid);
      if (!open || open->empty()) continue;
      (is_servers ? within : others).insert(pid);
      owned.insert(open->begin(), open->end());
    }
  }
};

[[noreturn]] void refuse(pid_t pid, const endpoint& target, const std::string& why,
                         const std::set<pid_t>& owners) {
  throw std::invalid_argument(
      option_text(pid) + ": " + why + "; give the process that listens on " + target.to_string() +
      (owners.empty() ? "" : ", which is " + describe(owners) + ", or one that has started it"));
}

// `server`: the process and its descendants, this one among them.
[[noreturn]] void refuse_ancestor(pid_t pid, const endpoint& target, const std::vector<pid_t>& server) {
  const listeners seen(server, sockets_listening_on(target));
  const auto ancestors = ancestors_of(::getpid());
  std::set<pid_t> owners = seen.others;
  for (const pid_t owner : seen.within) {
    if (owner != ::getpid() && !contains(ancestors, owner)) owners.insert(owner);
  }
  refuse(pid, target,
         pid == ::getpid() ? "that is this client"
                           : "that process has started this client, whose CPU would count as the server's",
         owners);
}

}  // namespace

server_check check_server(pid_t pid, const endpoint& target) {
  const std::string where = target.to_string();
  const auto unverified = [&](const std::string& why) {
    return server_check{.verified = false, .remark = option_text(pid) + " is not verified: " + why};
  };

  std::vector<pid_t> server = descendants_of(pid);
  server.push_back(pid);
  if (contains(server, ::getpid())) refuse_ancestor(pid, target, server);
  if (!is_of_this_host(target, host_addresses()))
    return unverified(where + " is not an address of this host");

  const auto sockets = sockets_listening_on(target);
  const listeners seen(server, sockets);
  if (!seen.within.empty() && seen.others.empty()) return {.verified = true, .remark = {}};
  if (!seen.within.empty()) {
    return {.verified = true,
            .remark = describe(seen.others) + " can accept connections to " + where + ", too, and " +
                      option_text(pid) +
                      " has not started it: what it uses is missing in the server's figures"};
  }
  if (std::ranges::any_of(server, is_elsewhere))
    return unverified("it, or a process that it has started, is in another network namespace");
  if (sockets.empty()) return unverified("no socket that listens on " + where + " can be seen here");
  if (!seen.unreadable.empty())
    return unverified("the open files of " + describe(seen.unreadable) + " must not be read");
  if (seen.owned != sockets)
    return unverified("the open files of the process that listens on " + where + " must not be read");
  refuse(pid, target, "it does not listen on " + where + ", nor does a process that it has started",
         seen.others);
}

}  // namespace echobench
