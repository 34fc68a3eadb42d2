// What this program was built from and with, for the `tool` block of results. Static text, never empty.
#pragma once

#include <string_view>

namespace echobench::build_info {

extern const std::string_view version;   // of the project
extern const std::string_view commit;    // full hash, or "unknown" outside a checkout
extern const bool dirty;                 // tracked files differed from the commit
extern const std::string_view compiler;  // "GNU 12.2.0"
extern const std::string_view flags;     // of the compiler, build type included

}  // namespace echobench::build_info
