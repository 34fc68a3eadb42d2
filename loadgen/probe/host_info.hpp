// What machine figures were made on.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace echobench {

// CPU, cores, kernel, mitigations, governor, limits, steal, load, network sysctls, kernel options, io_uring.
// What cannot be read here is absent, never guessed. Sources: uname(2), /proc, /sys.
nlohmann::json describe_host();

}  // namespace echobench
