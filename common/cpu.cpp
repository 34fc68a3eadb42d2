#include "common/cpu.hpp"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <numeric>
#include <stdexcept>
#include <system_error>

namespace echobench {
namespace {

std::chrono::nanoseconds read_clock(clockid_t clock) noexcept {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::optional<unsigned> parse_cpu(std::string_view text) {
  unsigned cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error != std::errc{} || end != text.data() + text.size() || cpu >= CPU_SETSIZE) return std::nullopt;
  return cpu;
}

bool set_affinity(const cpu_list& cpus) noexcept {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const unsigned cpu : cpus) CPU_SET(cpu, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0;
}

// All CPUs that the system lets this thread choose from; afterwards it runs on all of them.
cpu_list usable_cpus() {
  cpu_list all(CPU_SETSIZE);
  std::iota(all.begin(), all.end(), 0U);
  set_affinity(all);
  return allowed_cpus();
}

}  // namespace

std::optional<cpu_list> parse_cpu_list(std::string_view text) {
  cpu_list cpus;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    const auto part = text.substr(begin, end - begin);
    const auto dash = part.find('-');
    const auto first = parse_cpu(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_cpu(part.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    for (unsigned cpu = *first; cpu <= *last; ++cpu) cpus.push_back(cpu);
    begin = end + 1;
  }
  std::sort(cpus.begin(), cpus.end());
  cpus.erase(std::unique(cpus.begin(), cpus.end()), cpus.end());
  return cpus;
}

std::string format_cpu_list(const cpu_list& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t last = i;
    while (last + 1 < cpus.size() && cpus[last + 1] == cpus[last] + 1) ++last;
    if (!text.empty()) text += ',';
    text += std::to_string(cpus[i]);
    if (last > i)
      text.append("-").append(std::to_string(cpus[last]));  // GCC 12 warns falsely of char + string
    i = last + 1;
  }
  return text;
}

cpu_list allowed_cpus(pid_t process) {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(process, sizeof set, &set) != 0) {
    throw std::system_error(errno, std::system_category(), "sched_getaffinity");
  }
  cpu_list cpus;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
  }
  return cpus;
}

void restrict_to_cpus(const cpu_list& cpus) {
  const cpu_list before = allowed_cpus();
  if (set_affinity(cpus) && allowed_cpus() == cpus) return;
  const cpu_list usable = usable_cpus();
  set_affinity(before);
  cpu_list missing;
  std::ranges::set_difference(cpus, usable, std::back_inserter(missing));
  throw std::runtime_error("cannot run on CPU " + format_cpu_list(missing.empty() ? cpus : missing) +
                           ": this process may use CPU " + format_cpu_list(usable));
}

std::chrono::nanoseconds thread_cpu_time() noexcept { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

std::optional<std::chrono::nanoseconds> process_cpu_time(pid_t pid) noexcept {
  clockid_t clock{};
  if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0) return std::nullopt;
  timespec now{};
  if (::clock_gettime(clock, &now) != 0) return std::nullopt;
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace echobench
