// For tests: a blocking client. It gives up after `patience`.
#pragma once

#include "common/socket.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace echobench::testing {

using bytes = std::string;

// After this time nothing is waited for any more: much longer than anything takes on a slow and busy machine.
inline constexpr std::chrono::seconds patience{60};

// Throws errno.
[[noreturn]] void fail(const std::string& what);

// The system's buffers for a connection: small ones are full soon if somebody does not read.
enum class buffers : std::uint8_t { usual, small };

class client {
public:
  explicit client(const endpoint& server, buffers size = buffers::usual);

  int fd() const noexcept { return fd_.get(); }
  void send(std::string_view data);
  // Whether the server's kernel has what was sent, whatever the server does with it.
  bool delivered() const;
  // How many bytes the system took at once; 0 if it takes none now.
  std::size_t send_some(std::string_view data);
  // Exactly n bytes, or fewer when the server ends; throws when nothing comes within `patience` or the
  // server resets.
  bytes receive(std::size_t n);
  // What has arrived already, up to n bytes; empty if nothing has.
  bytes receive_some(std::size_t n);
  bytes receive_to_end();
  bool readable_within(std::chrono::milliseconds time) const;
  bool writable_within(std::chrono::milliseconds time) const;
  void finish();  // half-close
  void reset();   // closes with a reset
  void close() { fd_.reset(); }

private:
  unique_fd fd_;
};

// Whether poll(2) reports one of the events within this time.
bool ready_within(int fd, short events, std::chrono::milliseconds time);

}  // namespace echobench::testing
