// The proactor: one io_uring for each thread. The kernel accepts and receives on its own; the loop takes the
// next steps of a connection when something that it has asked for has completed.
#include "servers/serving/uring_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class completion_loop final : public uring_loop<uring_connection> {
public:
  static constexpr description about{
      .name = "io-uring",
      .summary = "an io_uring for each thread, multishot accept and receive: the floor of the proactors",
      .family = model_family::event_loops,
      .waits = "a loop for completions: the kernel receives, the loop answers",
      .threads = "N rings",
      .colour = "#6e7781"};

  using uring_loop::uring_loop;

private:
  void take_steps(connection& conn) override {
    for (;;) {
      switch (conn.state.next()) {
        case step::receive:
          if (receive(conn)) continue;
          break;
        case step::send: send(conn); break;
        case step::work: work(conn); break;
        case step::sleep: break;
        case step::end_sending: end_sending(conn); continue;
        case step::close:
          if (close(conn)) return remove(conn);
          break;
      }
      return follow(conn);
    }
  }
};

}  // namespace

const variant variants::io_uring = describe<server_of_loops<completion_loop>>();

}  // namespace echobench
