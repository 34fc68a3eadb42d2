// What a server variant is: one concurrency model behind the echo protocol, chosen by name.
#pragma once

#include "common/cpu.hpp"
#include "servers/session/connection_state.hpp"
#include "servers/session/server_totals.hpp"
#include "servers/stop_on_signal.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace echobench {

class listener_set;

struct server_options {
  std::string variant;
  std::vector<std::string> bind{"127.0.0.1"};
  std::uint16_t port = 0;  // 0: any free one, the same for every address
  unsigned threads = 1;    // loops or workers, depending on the variant
  cpu_list cpus;           // empty: wherever the process may run
  unsigned backlog = 4096;
  unsigned max_connections = 0;  // at once; at the limit accepting pauses; 0: as many as descriptors allow
  unsigned offload_threads = 1;  // for work with the offload flag, if the model has a loop to keep free
  std::chrono::nanoseconds drain_timeout = std::chrono::seconds(5);
  connection_options connection;
};

// How many clients a variant serves at once: a single one, as many as it has threads, or any number.
enum class clients : std::uint8_t { one, threads, any };

// An option that this variant cannot honour; the text names the option and what to do.
class usage_error : public std::invalid_argument {
public:
  using std::invalid_argument::invalid_argument;
};

// The constructor binds and listens, or throws std::system_error or usage_error. run() serves until the token
// is stopped, then answers what has been received, closes, and returns within options.drain_timeout.
template <class S>
concept echo_server = std::constructible_from<S, const server_options&> &&
    requires(S s, const S cs, std::stop_token stop) {
  { S::name } -> std::convertible_to<std::string_view>;     // file stem, '-' for '_'
  { S::summary } -> std::convertible_to<std::string_view>;  // one line for --list
  { S::holds } -> std::convertible_to<clients>;
  { S::unavailable_reason() } -> std::same_as<std::string_view>;  // empty: usable here
  { cs.listeners() }
  noexcept->std::same_as<const listener_set&>;  // what was really bound
  { s.run(stop) } -> std::same_as<server_outcome>;
};

// A server of any variant.
class any_server {
public:
  virtual ~any_server() = default;
  virtual const listener_set& listeners() const noexcept = 0;
  virtual server_outcome run(std::stop_token stop) = 0;
};

// An entry of the list of variants.
struct variant {
  std::string_view name;
  std::string_view summary;
  clients holds;
  stop_on_signal::by stops;
  std::string_view (*unavailable_reason)();
  std::unique_ptr<any_server> (*make)(const server_options&);
};

template <echo_server Server>
constexpr variant describe() {
  class server final : public any_server {
  public:
    explicit server(const server_options& options) : server_(options) {}
    const listener_set& listeners() const noexcept override { return server_.listeners(); }
    server_outcome run(std::stop_token stop) override { return server_.run(std::move(stop)); }

  private:
    Server server_;
  };
  return {.name = Server::name,
          .summary = Server::summary,
          .holds = Server::holds,
          .stops =
              [] {
                if constexpr (requires { Server::stops; }) return Server::stops;
                return stop_on_signal::by::thread;
              }(),
          .unavailable_reason = &Server::unavailable_reason,
          .make = [](const server_options& options) -> std::unique_ptr<any_server> {
            return std::make_unique<server>(options);
          }};
}

}  // namespace echobench
