// The reactor, edge-triggered: a socket is named once, for everything, and the system reports what becomes
// possible. The loop remembers that until a system call finds the contrary, so that it never changes what it
// waits for.
#include "servers/serving/edges.hpp"
#include "servers/serving/epoll_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

using again_hook =
    boost::intrusive::list_base_hook<boost::intrusive::tag<struct again_tag>,
                                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

struct edge_connection : readiness_connection, edges, again_hook {
  using readiness_connection::readiness_connection;

  bool in_set = false;
};

class edge_triggered_loop final : public epoll_loop<edge_connection> {
public:
  static constexpr description about{
      .name = "epoll-edge",
      .summary = "an edge-triggered epoll loop for each thread",
      .family = model_family::event_loops,
      .waits = "an event loop for all its clients, edge-triggered: what becomes possible is reported once",
      .threads = "N loops",
      .colour = "#57606a"};
  static std::string_view unavailable_reason() { return ""; }

  using epoll_loop::epoll_loop;

  void run() {
    while (!over()) {
      const auto noted = [this](connection& conn, std::uint32_t reported) {
        conn.note(reported);
        if (!conn.handed_out) take_steps(conn);
      };
      turn(noted, again_.empty() ? connection_state::never : at_once);
      for (auto again = std::exchange(again_, {}); !again.empty();) {
        connection& conn = again.front();
        again.pop_front();
        if (!conn.handed_out) take_steps(conn);
      }
    }
  }

private:
  static constexpr clock::time_point at_once{};

  // Until nothing more is possible, or others must come first: no report would follow.
  void take_steps(connection& conn) override {
    const int socket = conn.socket.get();
    bool others_first = false;
    for (advance(conn.state, socket); !others_first; advance(conn.state, socket)) {
      if (conn.state.next() == step::receive && conn.readable) {
        others_first = conn.receive(conn.state, socket);
      } else if (conn.state.next() == step::work && !conn.state.offloads()) {
        conn.state.burn();
        conn.state.carried_out();
        others_first = true;
      } else {
        break;
      }
    }
    if (others_first && !conn.again_hook::is_linked()) again_.push_back(conn);
    if (!wait_for_next(conn)) destroy(conn);
  }

  bool watch(connection& conn, interest) noexcept override {
    if (!conn.in_set) conn.in_set = set_.control(EPOLL_CTL_ADD, conn.socket.get(), edges::events, &conn);
    return conn.in_set;
  }

  boost::intrusive::list<connection, boost::intrusive::base_hook<again_hook>,
                         boost::intrusive::constant_time_size<false>>
      again_;
};

}  // namespace

const variant variants::epoll_edge = describe<server_of_loops<edge_triggered_loop>>();

}  // namespace echobench
