// What a worker is to do, as plain data: it could be sent to a worker on another host.
#pragma once

#include "common/socket.hpp"
#include "loadgen/plan/engine.hpp"
#include "loadgen/plan/message_spec.hpp"
#include "loadgen/plan/pacing.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace echobench {

enum class workload : std::uint8_t {
  rr,      // request and reply over a kept connection
  crr,     // connect, request, reply, close by a reset
  stream,  // rr whose connections are kept full, judged by the bytes each way
};

// Of all workers together.
struct load_spec {
  std::vector<endpoint> targets;
  // To connect from, for each target, in turn; none: the system chooses.
  std::vector<std::vector<endpoint>> sources;
  std::size_t connections = 100;     // to each target
  std::size_t idle_connections = 0;  // to each target, in addition to those that carry requests
  std::size_t slow_readers =
      0;  // to each target, in addition: they send as much as is taken, and read slowly
  std::uint64_t slow_read_rate = 4096;  // bytes per second of each
  workload pattern = workload::rr;
  std::size_t pipeline = 1;  // requests in flight on a connection at most
  message_spec messages;
  pacing pace;
  std::uint64_t connect_rate = 0;  // connections per second; 0: as fast as they are accepted
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);
  bool busy_poll = false;
  bool accuracy = false;  // kernel timestamps; epoll, rr, one request in flight on a connection
  engine io = engine::epoll;
};

}  // namespace echobench
