// The kinds of transport.
#pragma once

#include <cstdint>
#include <string>

namespace echobench {

enum class engine : std::uint8_t { epoll, io_uring };

constexpr const char* name_of(engine of) noexcept { return of == engine::epoll ? "epoll" : "io-uring"; }

// Which one a run uses, and why.
struct engine_choice {
  engine chosen = engine::epoll;
  std::string reason;
};

}  // namespace echobench
