// What the requests of a run ask for and how long they are, as plain data, and its texts on the command line.
#pragma once

#include "common/frame.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace echobench {

struct operation {
  frame_op kind = frame_op::echo;
  std::chrono::microseconds param{0};  // work, sleep
  bool offload = false;                // work

  friend bool operator==(const operation&, const operation&) = default;
};

// One of several: `weight` of the sum of all weights.
struct weighted_operation {
  operation op;
  std::uint32_t weight = 1;
};

// Evenly between the two, both included.
struct weighted_size {
  std::uint32_t low = 64;   // bytes
  std::uint32_t high = 64;  // not below low
  std::uint32_t weight = 1;
};

struct message_spec {
  framing frames = framing::frame;
  std::vector<weighted_operation> operations{weighted_operation{}};  // never empty
  std::vector<weighted_size> payloads{weighted_size{}};              // never empty
  std::uint64_t seed = 1;                                            // of which request has which
  // Connections whose numbers differ by a multiple of this ask for the same: those of different targets.
  std::uint32_t alike_every = 0xffff'ffff;

  std::uint32_t smallest_payload() const noexcept;
  std::uint32_t largest_payload() const noexcept;
  double mean_payload() const noexcept;  // bytes
  bool has(frame_op kind) const noexcept;
};

// `echo`, `upper`, `work:TIME`, `sleep:TIME`, or `mix:OP@WEIGHT,OP@WEIGHT`; weights are whole numbers from 1
// to 1,000,000. Throws std::invalid_argument that names --op.
std::vector<weighted_operation> parse_operations(const std::string& text);

// `SIZE`, `uniform:SIZE-SIZE`, or `mix:SIZE@WEIGHT,SIZE-SIZE@WEIGHT`; sizes up to 1 GiB. Throws
// std::invalid_argument that names --payload.
std::vector<weighted_size> parse_payloads(const std::string& text);

std::string format_operation(const operation& op);  // `work:100us`
std::string format_operations(const std::vector<weighted_operation>& operations);
std::string format_payloads(const std::vector<weighted_size>& payloads);

}  // namespace echobench
