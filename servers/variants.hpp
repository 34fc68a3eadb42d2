// The list of variants, in the order of the ladder. Each is defined in the last line of its own file,
// NAME.cpp.
#pragma once

#include "servers/variant.hpp"

#include <array>

#define ECHOBENCH_VARIANTS(X) \
  X(iterative)                \
  X(thread_per_connection)    \
  X(prethreaded)              \
  X(prefork)                  \
  X(thread_pool)              \
  X(poll)                     \
  X(epoll)                    \
  X(io_uring)                 \
  X(asio_callback)            \
  X(asio_coroutine)

namespace echobench::variants {

#define ECHOBENCH_DECLARE(name) extern const variant name;  // NOLINT(bugprone-macro-parentheses)
ECHOBENCH_VARIANTS(ECHOBENCH_DECLARE)
#undef ECHOBENCH_DECLARE

#define ECHOBENCH_LIST(name) &(name),
inline constexpr std::array all{ECHOBENCH_VARIANTS(ECHOBENCH_LIST)};
#undef ECHOBENCH_LIST

}  // namespace echobench::variants
