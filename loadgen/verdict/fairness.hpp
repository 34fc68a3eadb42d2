// How evenly a server serves its connections.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace echobench {

// How evenly connections were served.
struct fairness {
  double jain_index = 1;  // the lowest of a loop's share
  std::vector<std::size_t> connections_per_loop;
};

// (sum x)^2 / (n sum x^2): 1 when all are equal, 1/n when one has everything. 1 when all are 0.
double jain_index(std::span<const double> shares) noexcept;

// Judges connections among those that share a loop of the server, for the kernel divides connections unevenly
// over the accept queues of several loops. Which loop a connection belongs to cannot be seen from outside,
// but a loop that is never idle gives to its connections together as much as any other does, however many
// they are: the shares in ascending order, cut where their sum reaches equal parts of the whole, are the
// loops. With fewer than four connections to a loop that is a guess, for a
// loop may have none; and a few that starve can hide behind a loop that is crowded.
fairness fairness_within_loops(std::vector<double> shares, std::size_t loops);

}  // namespace echobench
