#include "loadgen/drive/resolved_load.hpp"

#include "loadgen/transport/transport.hpp"

#include <stdexcept>
#include <string>

namespace echobench {

engine_choice choose_engine(const options& asked) {
  if (asked.io == engine::epoll) return {engine::epoll, "asked for"};
  if (asked.load.accuracy) return {engine::epoll, "--accuracy takes timestamps by recvmsg(2)"};
  const std::string why_not = io_uring_unavailable_reason();
  if (asked.io && !why_not.empty()) throw std::invalid_argument("--engine io-uring: " + why_not);
  if (!why_not.empty()) return {engine::epoll, why_not};
  return {engine::io_uring, asked.io ? "asked for" : "it can be used here"};
}

load_spec resolved_load(const options& asked, engine io, const std::vector<endpoint>& targets) {
  load_spec load = asked.load;
  load.io = io;
  load.messages.alike_every = static_cast<std::uint32_t>(asked.all_connections());
  load.targets = targets;
  return load;
}

}  // namespace echobench
