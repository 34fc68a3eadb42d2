// The highest rate at which the objectives hold, the knee, from trials whose answers are noisy. No I/O, no
// clock, no random numbers: the same answers lead to the same rates.
//
// Probabilistic bisection (Horstein 1963; Waeber, Frazier, Henderson 2013): the next trial is at the median
// of what the answers so far say of the knee. There an answer is right with one probability, wherever the
// trial is. Here that falls from 1 - lapse far from the knee to 1/2 at the knee, as where thresholds of
// perception are sought (QUEST: Watson, Pelli 1983): with knee k, a trial at rate r holds with probability
//
//     lapse + (1 - 2 lapse) / (1 + (r / k)^(1 / spread)).
//
// Near the knee, where most trials are, an answer is the toss of a coin; a search that takes it as right
// with 0.8, there as elsewhere, is too sure of itself: the last line but one of the table. Far from the
// knee an answer is nearly certain, so that the coarse phase comes by itself. Before the first trial all
// rates from 0 to a little above the highest are alike. With a range from 2 % to 105 % of the capacity and
// a knee above 5 % of it, 2 trials (at most 8 in 95 % of the searches) come before the first within 10 % of
// the knee.
//
// What the defaults rest on: searches simulated in rate_search_test.cpp, 2000 triples a line, 5 % of the
// answers turned round. A trial holds by a logistic curve of the log of its rate, and the knee drifts by up
// to 3 % either way: anew for each trial; slowly, over ten trials, with the same variance; or anew for each
// search only. `covered`: intervals that hold the knee as it is without drift. `overlap`: triples of
// searches whose intervals have a rate in common. `error`: mean distance of the estimate from the knee.
// `trials`: median, and what suffices for 95 % of the searches.
//
//     scale of the curve, drift            covered   overlap   error   trials
//     1 %, each trial                       99.9 %   100.0 %   0.9 %   19, 27
//     2 %, each trial                       98.6 %    99.9 %   1.2 %   20, 28
//     1 %, slow                             96.4 %    99.3 %   1.4 %   19, 28
//     2 %, slow                             94.4 %    98.4 %   1.6 %   20, 29
//     1 %, whole search                     96.8 %    99.4 %   1.6 %   19, 26
//     2 %, whole search                     91.6 %    96.4 %   1.8 %   20, 28
//     0.2 %, none, no answer turned round  100.0 %   100.0 %   0.3 %   18, 20
//     1 %, whole search; the search has
//       lapse 20 %, spread 0.4 %            72.2 %    76.2 %   1.6 %   22, 33
//     5 %, slow, by 6 %                     64.6 %    57.1 %   3.2 %   21, 34
//
// The spread is wider than what the first two lines scatter by (3 % is a standard deviation of 5.4 %; theirs
// are 2.5 % and 4 %), because trials of one search share the host's drift, which no number of them averages
// out. A resolution below the drift promises what it cannot keep, too: at 2 % a search takes 184 trials, and
// on the host of the fifth line 22 % of the triples overlap. The last line is a host rougher than the spread
// allows for: raise it there.
#pragma once

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
  double resolution = 0.08;  // above 0: the search ends when high / low - 1 of its interval is not above this
  double spread = 0.03;      // above 0: how far from the knee answers are doubtful, as a part of it
  double lapse = 0.05;       // above 0, below 0.5: answers that are wrong however far from the knee
  std::size_t budget = 40;   // trials, unusable ones included
  std::size_t repeats = 2;   // of an unusable trial, at once; then its rate is the client's ceiling
};

enum class knee_place : std::uint8_t {
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

constexpr const char* name_of(knee_place of) noexcept {
  switch (of) {
    case knee_place::unknown: return "unknown";
    case knee_place::found: return "found";
    case knee_place::at_least: return "at-least";
    case knee_place::at_most: return "at-most";
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
  knee_place place = knee_place::unknown;
  double estimate = 0;                   // requests per second; found: the median
  std::optional<double> low;             // of the 95 % credible interval; empty: at_most, unknown
  std::optional<double> high;            // empty: at_least, unknown
  std::optional<std::uint64_t> ceiling;  // the lowest rate that the client could not offer; empty: none
  std::optional<search_end> ended;       // empty: there is more to ask
  std::vector<rate_trial> trials;        // in the order of their answers
};

// A client's ceiling is approached from the highest rate that was usable, halfway (in ratio) at a time, until
// the two are within the resolution: some ten trials. It makes the result a lower bound only where the knee
// is not found below it.
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
  struct cell {
    double log_rate;  // its middle
    double weight;    // of the knee being in it; all add up to 1
  };
  struct interval {
    double low;
    double middle;
    double high;
  };
  struct reach {
    std::uint64_t usable;  // the highest rate that was, below the ceiling; 0: none
    std::uint64_t limit;   // a knee above it cannot be measured
    std::uint64_t top;     // the highest rate to try
  };

  void learn(double log_rate, bool held) noexcept;
  void scale_weights() noexcept;
  double quantile(double probability) const noexcept;  // of the knee, requests per second
  reach reach_so_far() const noexcept;
  void conclude();
  std::optional<search_end> reason_to_end(const interval& knee, const reach& reached) const noexcept;
  void place(const interval& knee, const reach& reached) noexcept;

  rate_search_settings settings_;
  double step_;  // between two cells
  std::vector<cell> knees_;
  std::size_t unusable_in_turn_ = 0;
  std::optional<std::uint64_t> next_;
  rate_search_result result_;
};

}  // namespace echobench
