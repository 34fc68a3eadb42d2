// Built instead of the models on io_uring where liburing is missing: they stay in the list, with the reason.
#include "servers/serving/listener.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

std::string_view reason() { return "liburing was missing when this was built (Debian: liburing-dev)"; }

constexpr variant not_built(std::string_view name) {
  return {.name = name,
          .summary = "a model on io_uring",
          .holds = clients::any,
          .stops = stop_on_signal::by::thread,
          .unavailable_reason = &reason,
          .make = nullptr};  // what is unavailable is not made
}

}  // namespace

#ifdef ECHOBENCH_ASIO_ON_IO_URING
const variant variants::asio_callback = not_built("asio-callback-uring");
const variant variants::asio_coroutine = not_built("asio-coroutine-uring");
#else
const variant variants::io_uring = not_built("io-uring");
#endif

}  // namespace echobench
