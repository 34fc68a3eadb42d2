// The server that does as little as one can: it gives back what comes. What a client reaches against it is
// the client's own ceiling.
#pragma once

#include "common/cpu.hpp"
#include "common/frame.hpp"
#include "common/socket.hpp"

#include <sys/types.h>

namespace echobench {

// A process of its own, on those CPUs (empty: any), ended with this object or with its parent. Must be made
// before this process has threads. Throws std::system_error.
class null_server {
public:
  null_server(framing kind, const cpu_list& cpus);
  null_server(const null_server&) = delete;
  null_server& operator=(const null_server&) = delete;
  ~null_server();

  const endpoint& where() const noexcept { return where_; }
  pid_t pid() const noexcept { return pid_; }

private:
  endpoint where_;
  pid_t pid_ = -1;
};

}  // namespace echobench
