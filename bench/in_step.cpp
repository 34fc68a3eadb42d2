#include "bench/in_step.hpp"

#include <boost/fiber/barrier.hpp>
#include <boost/fiber/fiber.hpp>

#include <barrier>

namespace echobench::bench {

std::vector<std::jthread> start_threads(const seats& where, const share_of& share) noexcept {
  std::vector<std::jthread> threads;
  while (threads.size() < where.at_home) threads.emplace_back(share, threads.size());
  const starting_on there(others());
  while (threads.size() < where.count()) threads.emplace_back(share, threads.size());
  return threads;
}

void threads_in_step(benchmark::State& state, std::size_t batch, const seats& where, const share_of& share,
                     const std::function<void()>& prepare) {
  bool more = true;
  // The last to arrive asks for the next batch, while the others wait: so the timer runs from barrier to
  // barrier.
  std::barrier together(static_cast<std::ptrdiff_t>(where.count()), [&]() noexcept {
    more = state.KeepRunningBatch(static_cast<std::int64_t>(batch));
    if (more) prepare();
  });
  const auto threads = start_threads(where, [&](std::size_t who) {
    for (together.arrive_and_wait(); more; together.arrive_and_wait()) share(who);
  });
}

void fibers_in_step(benchmark::State& state, std::size_t batch, std::size_t fibers, const share_of& share) {
  bool more = true;
  boost::fibers::barrier together(fibers + 1);
  std::vector<boost::fibers::fiber> crew;
  while (crew.size() < fibers) {
    crew.emplace_back([&, who = crew.size()] {
      for (together.wait(); more; together.wait()) {
        share(who);
        together.wait();
      }
    });
  }
  while (state.KeepRunningBatch(static_cast<std::int64_t>(batch))) {
    together.wait();
    together.wait();
  }
  more = false;
  together.wait();
  for (boost::fibers::fiber& each : crew) each.join();
}

}  // namespace echobench::bench
