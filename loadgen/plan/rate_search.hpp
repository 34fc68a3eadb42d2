// The maximum rate at the objective (the highest at which all objectives hold), from trials whose answers are
// noisy. No I/O, no clock, no random numbers: the same answers lead to the same rates.
//
// Maximum and spread are learnt together, as thresholds and slopes of perception are (the psi method:
// Kontsevich, Tyler 1999; of which the slope is a nuisance: Prins 2013). With maximum k and spread s, a trial
// at rate r holds with probability
//
//     lapse + (1 - 2 lapse) / (1 + (r / k)^(1 / s)):
//
// far from the maximum an answer is nearly certain, so that the coarse phase comes by itself; near it, where
// most trials are, it is the toss of a coin, and how near that is, is the host's doing: one that is taken
// from us for 10 ms in some seconds and not in others has p99 <= 2 ms by luck over a range of 30 % of the
// rate. Spreads of 3, 6, 12 and 24 % are equally likely at first, and rates from 0 to a little above the
// highest. The next trial is where the answer is expected to inform most about the maximum, whatever the
// spread: the least entropy of what will be known, among the quantiles of what is.
//
// What the defaults rest on: searches simulated in rate_search_test.cpp, 200 triples a line, 5 % of the
// answers turned round. A trial holds by a logistic curve of the log of its rate, and the maximum drifts by
// up to the given amount either way: anew for each trial; slowly, over ten trials, with the same variance; or
// anew for each search only. `covered`: intervals that hold the maximum as it is without drift. `overlap`:
// triples of searches whose intervals have a rate in common. `error`: mean distance of the estimate from the
// maximum. `trials`: median, and what suffices for 95 % of the searches.
//
//     scale of the curve, drift            covered   overlap   error   trials
//     1 %, 3 %, each trial                 100.0 %   100.0 %   0.8 %   27, 38
//     2 %, 3 %, each trial                 100.0 %   100.0 %   1.1 %   29, 40
//     1 %, 3 %, slow                       100.0 %   100.0 %   1.2 %   27, 39
//     2 %, 3 %, slow                       100.0 %   100.0 %   1.4 %   30, 40
//     1 %, 3 %, whole search                99.8 %   100.0 %   1.6 %   26, 36
//     2 %, 3 %, whole search                99.5 %   100.0 %   1.7 %   29, 40
//     5 %, 6 %, slow                        95.8 %    97.5 %   2.7 %   40, 40
//     15 %, 6 %, slow                       92.3 %    97.5 %   5.0 %   40, 40
//     0.2 %, none, no answer turned round  100.0 %   100.0 %   0.4 %   24, 26
//     1 %, 3 %, whole search; the search
//       has spreads from 0.1 %              75.7 %    80.0 %   2.5 %    8, 16
//
// With a spread of 3 % that was not learnt the line of 5 % had 64.6 % and 57.1 %, and three searches of one
// server on a shared virtual machine did not agree: 89 to 96, 101 to 114 and 117 to 127 thousand a second.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace echobench {

enum class trial_outcome : std::uint8_t {
  held,      // all objectives
  missed,    // one of them, or more
  unusable,  // the client could not offer that rate: it says nothing about the server
};

constexpr const char* name_of(trial_outcome of) noexcept {
  return of == trial_outcome::held ? "held" : of == trial_outcome::missed ? "missed" : "unusable";
}

struct rate_trial {
  std::uint64_t rate = 0;  // requests per second
  trial_outcome outcome = trial_outcome::unusable;

  friend bool operator==(const rate_trial&, const rate_trial&) = default;
};

// Asserted by the search.
struct rate_search_settings {
  std::uint64_t lowest = 1;   // requests per second, from 1 on
  std::uint64_t highest = 2;  // above lowest
  double resolution = 0.12;  // above 0: the search ends when high / low - 1 of its interval is not above this
  double spread = 0.03;     // above 0: how far from the maximum answers are doubtful at least, relative to it
  double lapse = 0.05;      // above 0, below 0.5: answers that are wrong however far from the maximum
  std::size_t budget = 40;  // trials, unusable ones included
  std::size_t repeats = 2;  // of an unusable trial, at once; then its rate is the client's ceiling
};

enum class maximum_place : std::uint8_t {
  unknown,   // no trial was usable, or none below the ceiling
  found,     // within what could be measured, though its interval may reach beyond
  at_least,  // above that: the estimate, the highest rate that was usable, is a lower bound
  at_most,   // below the range: the estimate, the lowest rate, is an upper bound
};

enum class search_end : std::uint8_t {
  resolved,            // the interval is as narrow as asked
  holds_at_top,        // all of it lies above what could be measured
  missed_at_lowest,    // all of it lies below the range
  unusable_at_lowest,  // the client cannot offer even that
  out_of_trials,       // the budget is used up; the interval is what is known
};

constexpr const char* name_of(maximum_place of) noexcept {
  switch (of) {
    case maximum_place::unknown: return "unknown";
    case maximum_place::found: return "found";
    case maximum_place::at_least: return "at-least";
    case maximum_place::at_most: return "at-most";
  }
  return "";
}
constexpr const char* name_of(search_end of) noexcept {
  switch (of) {
    case search_end::resolved: return "resolved";
    case search_end::holds_at_top: return "holds-at-top";
    case search_end::missed_at_lowest: return "missed-at-lowest";
    case search_end::unusable_at_lowest: return "unusable-at-lowest";
    case search_end::out_of_trials: return "out-of-trials";
  }
  return "";
}

struct rate_search_result {
  maximum_place place = maximum_place::unknown;
  double estimate = 0;                   // requests per second; found: the median
  std::optional<double> low;             // of the 95 % credible interval; empty: at_most, unknown
  std::optional<double> high;            // empty: at_least, unknown
  std::optional<std::uint64_t> ceiling;  // the lowest rate that the client could not offer; empty: none
  std::optional<search_end> ended;       // empty: there is more to ask
  std::vector<rate_trial> trials;        // in the order of their answers
};

// A client's ceiling is approached from the highest rate that was usable, halfway (in ratio) at a time, until
// the two are within the resolution: some ten trials. It makes the result a lower bound only where the
// maximum is not found below it.
class rate_search {
public:
  explicit rate_search(const rate_search_settings& settings);

  // The rate of the next trial, requests per second; empty: the search has ended.
  std::optional<std::uint64_t> next() const noexcept { return next_; }

  // What came of a trial at next(), which must not be empty.
  void answer(trial_outcome outcome);

  // So far.
  const rate_search_result& result() const noexcept { return result_; }

private:
  static constexpr std::size_t spreads = 4;  // hypotheses: each twice as wide as the one before
  using by_spread = std::array<double, spreads>;

  struct cell {
    double log_rate;    // its middle
    by_spread weights;  // of the maximum being in it, for each spread; all of all cells add up to 1
  };
  struct interval {
    double low;
    double middle;
    double high;
  };
  struct reach {
    std::uint64_t usable;  // the highest rate that was, below the ceiling; 0: none
    std::uint64_t limit;   // a maximum above it cannot be measured
    std::uint64_t top;     // the highest rate to try
  };

  by_spread holds(const cell& maximum, double log_rate) const noexcept;  // probabilities
  void learn(double log_rate, bool held) noexcept;
  void scale_weights() noexcept;
  double quantile(double probability) const noexcept;  // of the maximum, requests per second
  double expected_entropy(double log_rate) const noexcept;
  std::uint64_t most_informative(std::uint64_t top) const noexcept;
  reach reach_so_far() const noexcept;
  void conclude();
  std::optional<search_end> reason_to_end(const interval& maximum, const reach& reached) const noexcept;
  void place(const interval& maximum, const reach& reached) noexcept;

  rate_search_settings settings_;
  double step_;  // between two cells
  std::vector<cell> grid_;
  std::size_t unusable_in_turn_ = 0;
  std::optional<std::uint64_t> next_;
  rate_search_result result_;
};

}  // namespace echobench
