// The list of variants, in the order of the ladder. Each is defined in the last line of its own file,
// NAME.cpp; a textbook's version stands beside what it became. Another program, echo-server-uring, has those
// that are compiled for Asio's other backend.
#pragma once

#include "servers/variant.hpp"

#include <array>

#ifdef ECHOBENCH_ASIO_ON_IO_URING
#define ECHOBENCH_VARIANTS(X) \
  X(asio_callback)            \
  X(asio_coroutine)
#define ECHOBENCH_UNLISTED(X) \
  X(asio_callback_textbook)   \
  X(asio_coroutine_textbook)
#else
#define ECHOBENCH_UNLISTED(X)
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
  X(asio_callback_textbook)   \
  X(asio_callback_shared)     \
  X(asio_coroutine)           \
  X(asio_coroutine_textbook)  \
  X(asio_coroutine_shared)    \
  X(asio_stackful)            \
  X(fiber)
#endif

namespace echobench::variants {

#define ECHOBENCH_DECLARE(name) extern const variant name;  // NOLINT(bugprone-macro-parentheses)
ECHOBENCH_VARIANTS(ECHOBENCH_DECLARE)
ECHOBENCH_UNLISTED(ECHOBENCH_DECLARE)
#undef ECHOBENCH_DECLARE

#define ECHOBENCH_LIST(name) &(name),
inline constexpr std::array all{ECHOBENCH_VARIANTS(ECHOBENCH_LIST)};
#undef ECHOBENCH_LIST

}  // namespace echobench::variants
