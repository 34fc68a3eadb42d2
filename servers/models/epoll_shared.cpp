// One epoll set for all threads, each of which waits for whatever comes next and serves it: no thread is idle
// while a connection waits for one that is busy, and connections move between cores. For that a thread takes
// one report at a time: of several it would keep the others waiting. The listeners are reported once, too
// (EPOLLONESHOT): EPOLLEXCLUSIVE would choose among sets, not among the threads that wait in one.
//
// So a wait brings one connection instead of many, and each is named to the set again. CPU time was 1.05 to
// 1.15 times that of epoll (raw, 100 and 1,000 connections, equal load and saturation).
#include "servers/serving/shared_loop.hpp"
#include "servers/variants.hpp"

namespace echobench {
namespace {

class loop final : public shared_loop {
public:
  static constexpr description about{
      .name = "epoll-shared",
      .summary = "one epoll set in which all threads wait, and serve what they are given",
      .family = model_family::event_loops,
      .waits = "all threads, in one epoll set; each serves what is reported to it",
      .threads = "N threads",
      .colour = "#8c959f"};
  static std::string_view unavailable_reason() { return ""; }

  loop(shared_by_loops& shared, unsigned index)
      : shared_loop(shared, index, offloaded_work::to_offload_pool) {}

  void run() {
    epoll_event report;
    while (!over()) take(wait(std::span(&report, 1)));
    wake();
  }

private:
  void ready(connection& conn) override { serve(conn); }
};

}  // namespace

const variant variants::epoll_shared = describe<server_of_loops<loop>>();

}  // namespace echobench
