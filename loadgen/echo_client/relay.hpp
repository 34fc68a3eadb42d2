// Carries bytes both ways between a user and a server; neither direction waits for the other.
#pragma once

#include <cstdint>

namespace echobench {

enum class relay_end : std::uint8_t {
  finished,       // the input ended, and then the server ended its side
  server_closed,  // the server ended the connection before the input ended
  server_broke,   // a reset or another failure of the connection
  output_closed,  // nobody reads our output any more
  output_failed,  // the output could not be written
  input_failed,   // the input could not be read
  stopped,        // `stop` became readable
};

struct relay_result {
  relay_end how = relay_end::finished;
  int error = 0;                   // errno of server_broke, output_failed and input_failed, else 0
  std::uint64_t unsent_bytes = 0;  // read from the input and not taken by the connection
};

// From `input` to the connected `server` and from there to `output`, through a buffer of 64 KiB each way:
// while it is full, the faster end is not read. When the input ends, sending is shut down; then the rest of
// the replies is printed until the server ends its side, too.
//
// No flag of `input` and `output` is changed, which others may share: poll(2) shows what can be done, and a
// write is no longer than a pipe that is ready has room for. SIGPIPE must be ignored.
// `stop`: a descriptor, or -1.
relay_result relay(int input, int server, int output, int stop);

}  // namespace echobench
