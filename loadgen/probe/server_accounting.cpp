#include "loadgen/probe/server_accounting.hpp"

#include <algorithm>

namespace echobench {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

server_accounting::server_accounting(pid_t pid) : probe_(pid) { use_.base = probe_.read(); }

void server_accounting::begin_measuring() {
  probe_.refresh();
  const server_cpu now = probe_.cpu_at_rest();
  use_.begin = probe_.read();
  last_cpu_ = now.total;
  children_at_begin_ = now.children;
}

nanoseconds server_accounting::begin_slice() {
  const nanoseconds now = probe_.cpu().total;
  use_.cpu_idle += std::max<nanoseconds>(now - last_cpu_, 0ns);
  return last_cpu_ = now;
}

nanoseconds server_accounting::within_slice() {
  probe_.find_new_children();
  return probe_.cpu().total;
}

nanoseconds server_accounting::end_slice(nanoseconds driven) {
  driven_ += driven;
  const nanoseconds now = probe_.cpu_at_rest().total;
  use_.cpu += std::max<nanoseconds>(now - last_cpu_, 0ns);
  return last_cpu_ = now;
}

void server_accounting::end_measuring() {
  begin_slice();
  use_.cpu += probe_.refresh();
  use_.cpu_children = std::max<nanoseconds>(probe_.cpu().children - children_at_begin_, 0ns);
  use_.end = probe_.read();
  const nanoseconds available = driven_ * probe_.usable_cpus();
  use_.busy =
      available > 0ns ? static_cast<double>(use_.cpu.count()) / static_cast<double>(available.count()) : 0;
}

}  // namespace echobench
