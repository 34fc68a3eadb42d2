// Short names for Asio's types in the benchmarks: everything on a single-threaded io_context, with its
// concrete executor. The default executor is type-erased, which costs a virtual call for each operation.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>

namespace echobench::bench {

namespace asio = boost::asio;
using boost::system::error_code;
using executor = asio::io_context::executor_type;
template <class Result>
using awaitable_of = asio::awaitable<Result, executor>;
using awaitable = awaitable_of<void>;
using asio_timer = asio::basic_waitable_timer<std::chrono::steady_clock,
                                              asio::wait_traits<std::chrono::steady_clock>, executor>;

}  // namespace echobench::bench
