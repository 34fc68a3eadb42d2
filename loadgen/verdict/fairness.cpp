#include "loadgen/verdict/fairness.hpp"

#include <algorithm>
#include <numeric>

namespace echobench {

double jain_index(std::span<const double> shares) noexcept {
  double sum = 0;
  double squares = 0;
  for (const double share : shares) {
    sum += share;
    squares += share * share;
  }
  return squares > 0 ? sum * sum / (static_cast<double>(shares.size()) * squares) : 1;
}

fairness fairness_within_loops(std::vector<double> shares, std::size_t loops) {
  const double part = std::accumulate(shares.begin(), shares.end(), 0.0) / static_cast<double>(loops);
  if (part == 0) return {.jain_index = 1, .connections_per_loop = {shares.size()}};
  std::ranges::sort(shares);
  fairness result{.jain_index = 1, .connections_per_loop = std::vector<std::size_t>(loops)};
  double sum = 0;
  auto first = shares.begin();
  for (std::size_t loop = 0; loop < loops; ++loop) {
    auto last = first;
    // A connection belongs where its middle lies; nothing is left over by rounding.
    while (last != shares.end() &&
           (loop + 1 == loops || sum + *last / 2 < part * static_cast<double>(loop + 1))) {
      sum += *last++;
    }
    result.jain_index = std::min(result.jain_index, jain_index({first, last}));
    result.connections_per_loop[loop] = static_cast<std::size_t>(last - first);
    first = last;
  }
  return result;
}

}  // namespace echobench
