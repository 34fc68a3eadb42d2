// The reactor: one level-triggered epoll loop for each thread. The loops share the port and nothing else.
#include "servers/serving/epoll_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class level_triggered_loop final : public epoll_loop<> {
public:
  static constexpr description about{
      .name = "epoll",
      .summary = "a level-triggered epoll loop for each thread: the floor of the reactors",
      .family = model_family::event_loops,
      .waits = "an event loop for all its clients, in epoll_wait(2), which remembers them",
      .threads = "N loops",
      .colour = "#24292f"};
  static std::string_view unavailable_reason() { return ""; }

  using epoll_loop::epoll_loop;

  void run() {
    while (!over()) {
      turn([this](connection& conn, std::uint32_t) { serve(conn); });
    }
  }
};

}  // namespace

const variant variants::epoll = describe<server_of_loops<level_triggered_loop>>();

}  // namespace echobench
