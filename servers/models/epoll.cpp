// The reactor: one level-triggered epoll loop for each thread. The loops share the port and nothing else.
#include "servers/serving/epoll_set.hpp"
#include "servers/serving/readiness_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class epoll_loop final : public readiness_loop {
public:
  static constexpr std::string_view name = "epoll";
  static constexpr std::string_view summary =
      "a level-triggered epoll loop for each thread: the floor of the reactors";
  static std::string_view unavailable_reason() { return ""; }

  epoll_loop(shared_by_loops& shared, unsigned index) : readiness_loop(shared, index, pool_) {
    if (!set_.control(EPOLL_CTL_ADD, wake_.fd(), EPOLLIN, &wake_)) {
      throw std::system_error(errno, std::system_category(), "epoll_ctl");
    }
    begin_accepting();
  }

  void run() {
    while (!over()) {
      bool woken = false;
      bool acceptable = false;
      for (const epoll_event& report : set_.wait(wake_at())) {
        if (report.data.ptr == &wake_) {
          woken = true;
        } else if (report.data.ptr == this) {
          acceptable = true;
        } else {
          serve(*static_cast<connection*>(report.data.ptr));
        }
      }
      attend(woken);
      if (acceptable) accept_available();
    }
  }

private:
  bool watch(connection& conn, interest what) noexcept override {
    const auto events = static_cast<std::uint32_t>(what);
    const int operation = conn.watched == interest::nothing ? EPOLL_CTL_ADD
                          : events == 0                     ? EPOLL_CTL_DEL
                                                            : EPOLL_CTL_MOD;
    return set_.control(operation, conn.socket.get(), events, &conn);
  }

  bool watch_listeners(bool wanted) noexcept override {
    return set_.control_all(wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, listeners_, this);
  }

  buffer_pool pool_{buffer_pool::use::one_thread};
  epoll_set set_;
};

}  // namespace

const variant variants::epoll = describe<server_of_loops<epoll_loop>>();

}  // namespace echobench
