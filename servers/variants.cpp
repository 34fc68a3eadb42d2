// Besides what includes Asio, this is the one file that differs between the programs: echo-server-uring has
// the variants that are compiled for Asio's io_uring backend.
#include "servers/variants.hpp"

namespace echobench::variants {
namespace {

constexpr const variant* listed[] = {
#ifdef ECHOBENCH_ASIO_ON_IO_URING
    &asio_callback,
    &asio_coroutine,
#else
    &iterative,
    &thread_per_connection,
    &prethreaded,
    &prefork,
    &thread_pool,
    &leader_followers,
    &poll,
    &epoll,
    &epoll_edge,
    &epoll_shared,
    &coroutine,
    &io_uring,
    &asio_callback,
    &asio_callback_tuned,
    &asio_callback_shared,
    &asio_coroutine,
    &asio_coroutine_tuned,
    &asio_coroutine_shared,
    &asio_stackful,
    &fiber,
#endif
};

}  // namespace

constinit const std::span<const variant* const> all = listed;

}  // namespace echobench::variants
