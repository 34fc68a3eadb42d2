// One level-triggered poll(2) loop for each thread: each call names every socket, and the system looks at all
// of them.
#include "common/timespec.hpp"
#include "servers/serving/readiness_loop.hpp"
#include "servers/variants.hpp"

#include <cerrno>
#include <new>
#include <system_error>

namespace echobench {
namespace {

struct poll_connection : readiness_connection {
  using readiness_connection::readiness_connection;

  std::size_t place = 0;  // in the list; 0: nowhere
};

class poll_loop final : public readiness_loop<poll_connection> {
public:
  static constexpr description about{
      .name = "poll",
      .summary = "a poll(2) loop for each thread: what epoll replaced",
      .family = model_family::event_loops,
      .waits = "an event loop for all its clients, in poll(2), which gets the list of all of them each time",
      .threads = "N loops",
      .colour = "#afb8c1"};
  static std::string_view unavailable_reason() { return ""; }

  poll_loop(shared_by_loops& shared, unsigned index)
      : readiness_loop(shared, index, pool_), first_connection_(1 + listeners_.size()) {
    places_.push_back({.fd = wake_.fd(), .events = POLLIN, .revents = 0});
    places_.resize(first_connection_, {.fd = -1, .events = POLLIN, .revents = 0});
    connections_.resize(places_.size());
    begin_accepting();
  }

  void run() {
    while (!over()) {
      int ready = wait(wake_at());
      const bool woken = take(places_.front(), ready);
      bool acceptable = false;
      for (std::size_t i = 1; i < first_connection_; ++i) acceptable |= take(places_[i], ready);
      for (std::size_t i = first_connection_; i < places_.size() && ready > 0;) {
        connection* const conn = connections_[i];
        if (take(places_[i], ready)) serve(*conn);
        if (i < places_.size() && connections_[i] == conn) ++i;  // otherwise another has taken its place
      }
      attend(woken);
      if (acceptable) accept_available();
    }
  }

private:
  int wait(clock::time_point until) {
    const auto timeout = to_timespec(until - clock::now());
    const bool forever = until == connection_state::never;
    const int ready = ::ppoll(places_.data(), places_.size(), forever ? nullptr : &timeout, nullptr);
    if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::system_category(), "ppoll");
    return ready;
  }

  // Whether something is reported for this place; then there is one report less to look for.
  static bool take(pollfd& place, int& ready) noexcept {
    if (ready <= 0 || place.revents == 0) return false;
    place.revents = 0;
    --ready;
    return true;
  }

  // For one more connection.
  bool has_room() noexcept try {
    if (connections_.size() == connections_.capacity()) {
      const std::size_t room = 2 * connections_.size();
      places_.reserve(room);
      connections_.reserve(room);
    }
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }

  bool watch(connection& conn, interest what) noexcept override {
    if (conn.place == 0) {
      if (!has_room()) return false;
      conn.place = places_.size();
      places_.push_back({});
      connections_.push_back(&conn);
    }
    // A peer that resets is reported whatever was asked for, but not of a negative descriptor.
    places_[conn.place] = {.fd = what == interest::nothing ? -1 : conn.socket.get(),
                           .events = static_cast<short>(what),
                           .revents = 0};
    return true;
  }

  void forget(connection& conn) noexcept override {
    if (conn.place == 0) return;
    places_[conn.place] = places_.back();
    connections_[conn.place] = connections_.back();
    connections_[conn.place]->place = conn.place;
    places_.pop_back();
    connections_.pop_back();
  }

  bool watch_listeners(bool wanted) noexcept override {
    for (std::size_t i = 0; i < listeners_.size(); ++i) places_[1 + i].fd = wanted ? listeners_[i].get() : -1;
    return true;
  }

  buffer_pool pool_{buffer_pool::use::one_thread};
  const std::size_t first_connection_;
  std::vector<pollfd> places_;            // what wakes the loop, the listeners, the connections
  std::vector<connection*> connections_;  // nullptr for the first ones
};

}  // namespace

const variant variants::poll = describe<server_of_loops<poll_loop>>();

}  // namespace echobench
