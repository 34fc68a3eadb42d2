// Whether a process is the server of a target: the CPU of any other is not what its requests cost.
#pragma once

#include "common/socket.hpp"

#include <sys/types.h>

#include <string>

namespace echobench {

struct server_check {
  bool verified = false;  // the process, or one that it has started, has a listening socket of the target
  std::string remark;     // a sentence for the result; verified: empty unless others have such a socket, too
};

// Throws std::invalid_argument that names --server-pid and the processes that do listen there when `pid` is
// not among them, and when it started this process, whose CPU would then count as the server's. Where /proc
// does not show who listens on `target` it is not verified, and the remark says why.
server_check check_server(pid_t pid, const endpoint& target);

}  // namespace echobench
