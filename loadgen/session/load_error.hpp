// What can go wrong with a connection of the load generator, as it is counted and named in results.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace echobench {

// What can end a connection.
enum class load_error : std::uint8_t {
  refused,      // the connection could not be opened
  no_port,      // the client has no free local port to open it from
  reset,        // broken by the peer or the network
  timeout,      // no connection or no whole reply within --timeout
  short_reply,  // the peer closed while the connection was still wanted
  rejected,     // an error status in a well-formed reply: the server refuses the request
  corrupt,      // a byte of a reply differs
  unsolicited,  // bytes that nothing had asked for
};
inline constexpr std::size_t load_error_kinds = 8;
inline constexpr std::array<std::string_view, load_error_kinds> load_error_names{
    "refused", "no-port", "reset", "timeout", "short", "rejected", "corrupt", "unsolicited"};

constexpr std::string_view name_of(load_error kind) noexcept {
  return load_error_names[static_cast<std::size_t>(kind)];
}

// A reply that is not what the protocol demands; the others are failures to reply.
constexpr bool is_wrong_reply(load_error kind) noexcept {
  return kind == load_error::corrupt || kind == load_error::unsolicited;
}

}  // namespace echobench
