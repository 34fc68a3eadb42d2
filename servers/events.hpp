// What echo-server prints on stdout: one JSON line for each event, or the list of variants. Throws
// std::system_error if stdout cannot be written.
#pragma once

#include "servers/options.hpp"
#include "servers/variant.hpp"

namespace echobench {

void print_list(server_command::action how);
void print_listening(const variant& chosen, const any_server& server);
void print_stopped(const variant& chosen, const server_outcome& outcome);

}  // namespace echobench
