// CPUs and their time: which ones a process may use, and how much it has used.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace echobench {

// CPU numbers, ascending, without repeats.
using cpu_list = std::vector<unsigned>;

// `0`, `0,2-3`: the form of taskset and of /sys. Empty when the text is not of that form.
std::optional<cpu_list> parse_cpu_list(std::string_view text);
std::string format_cpu_list(const cpu_list& cpus);

// What the kernel lets a process run on (sched_getaffinity); 0: this thread. Throws std::system_error.
cpu_list allowed_cpus(pid_t process = 0);

// Keeps this thread, and every thread that it starts later, on exactly these CPUs. Throws std::runtime_error
// that names those that it may not use (sched_setaffinity(2) leaves them out without an error as long as one
// remains); the thread then runs where it ran before.
void restrict_to_cpus(const cpu_list& cpus);

// CPU time of this thread. Costs a system call (~0.2 us): not for the request path.
std::chrono::nanoseconds thread_cpu_time() noexcept;

// CPU time of a whole process, its ended threads included (clock_getcpuclockid(3)); of a process that is
// running on another CPU it is brought up to date only at that CPU's ticks and when the process sleeps.
// Empty: no such process.
std::optional<std::chrono::nanoseconds> process_cpu_time(pid_t pid) noexcept;

}  // namespace echobench
