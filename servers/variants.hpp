// The variants. Each is defined in the last lines of its file, NAME.cpp; variations of one model share a
// file.
#pragma once

#include "servers/variant.hpp"

#include <span>

namespace echobench::variants {

extern const variant iterative;
extern const variant thread_per_connection;
extern const variant prethreaded;
extern const variant prefork;
extern const variant thread_pool;
extern const variant leader_followers;
extern const variant poll;
extern const variant epoll;
extern const variant epoll_edge;
extern const variant epoll_shared;
extern const variant coroutine;
extern const variant io_uring;
extern const variant asio_callback;
extern const variant asio_callback_tuned;
extern const variant asio_callback_shared;
extern const variant asio_coroutine;
extern const variant asio_coroutine_tuned;
extern const variant asio_coroutine_shared;
extern const variant asio_stackful;
extern const variant fiber;

// Those of this program, in the order in which --list shows them.
extern const std::span<const variant* const> all;

}  // namespace echobench::variants
