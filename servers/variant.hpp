// What a server variant is: one concurrency model behind the echo protocol, chosen by name.
#pragma once

#include "common/cpu.hpp"
#include "servers/session/connection_state.hpp"
#include "servers/session/server_totals.hpp"
#include "servers/stop_on_signal.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
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

enum class model_family : std::uint8_t {
  unknown,  // of what could not be built
  threads,
  processes,
  event_loops,
  callbacks,
  coroutines,
  fibers,
};

// What a model says of itself, which is all that lists, tables, charts and servers/README.md know of it.
struct description {
  std::string_view name;     // file stem, '-' for '_'
  std::string_view summary;  // one line for --list
  model_family family = model_family::unknown;
  std::string_view waits = "";    // which thread waits, and for what
  std::string_view threads = "";  // what --threads N means
  std::string_view colour = "";   // #rrggbb, in charts; kin are of one hue
  std::string_view remark = "";   // what must be known wherever its figures are shown
};

// An option that this variant cannot honour; the text names the option and what to do.
class usage_error : public std::invalid_argument {
public:
  using std::invalid_argument::invalid_argument;
};

// Called once, before a server serves, when it has all that it needs at its start: descriptors, threads,
// processes.
using on_ready = std::function<void()>;

// The constructor binds and listens, or throws std::system_error or usage_error; so does run() before it is
// ready. It serves until the token is stopped, then answers what has been received, closes, and returns
// within options.drain_timeout.
template <class S>
concept echo_server = std::constructible_from<S, const server_options&> &&
    requires(S s, const S cs, std::stop_token stop, const on_ready& ready) {
  { S::about } -> std::convertible_to<description>;
  { S::holds } -> std::convertible_to<clients>;
  { S::unavailable_reason() } -> std::same_as<std::string_view>;  // empty: usable here
  { cs.listeners() }
  noexcept->std::same_as<const listener_set&>;  // what was really bound
  { s.run(stop, ready) } -> std::same_as<server_outcome>;
};

// A server of any variant.
class any_server {
public:
  virtual ~any_server() = default;
  virtual const listener_set& listeners() const noexcept = 0;
  virtual server_outcome run(std::stop_token stop, const on_ready& ready) = 0;
};

// An entry of the list of variants.
struct variant {
  description about;
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
    server_outcome run(std::stop_token stop, const on_ready& ready) override {
      return server_.run(std::move(stop), ready);
    }

  private:
    Server server_;
  };
  constexpr description about = Server::about;
  static_assert(about.family != model_family::unknown && !about.waits.empty() && !about.threads.empty() &&
                about.colour.size() == 7);
  return {.about = about,
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
