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
  // The last to arrive begins the next batch while the others wait, so that the timer runs from barrier to
  // barrier.
  std::barrier together(static_cast<std::ptrdiff_t>(where.count()), [&]() noexcept {
    more = state.KeepRunningBatch(static_cast<std::int64_t>(batch));
    if (more) prepare();
  });
  const auto threads = start_threads(where, [&](std::size_t index) {
    const auto goes_on = [&] {
      together.arrive_and_wait();
      return more;
    };
    while (goes_on()) share(index);
  });
}

void fibers_in_step(benchmark::State& state, std::size_t batch, std::size_t count, const share_of& share) {
  bool more = true;
  boost::fibers::barrier together(count + 1);
  std::vector<boost::fibers::fiber> fibers;
  while (fibers.size() < count) {
    fibers.emplace_back([&, index = fibers.size()] {
      const auto goes_on = [&] {
        together.wait();
        return more;
      };
      while (goes_on()) {
        share(index);
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
  for (boost::fibers::fiber& fiber : fibers) fiber.join();
}

}  // namespace echobench::bench
