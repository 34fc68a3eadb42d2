// Runs of the open loop at several rates, each measured once and without a break: a sweep, and the search for
// the highest rate at which objectives hold. Rates are parts of what each target answers in a closed loop,
// which is what its warm-up is. All targets have the same arrivals at the same rate.
#pragma once

#include "loadgen/drive/coordinator.hpp"

namespace echobench {

// A cell for each target and rate, by target, then by rate; measured in seeded random order, targets in turn.
// A sweep that is broken off has those that were driven.
void sweep_rates(coordinator& run);

// A cell for each trial, and a maximum rate for each target that answered; targets have their trials in turn.
// A search ends when its target loses a connection: no later trial would have the load that was asked for.
void search_maximum_rates(coordinator& run);

// How a trial came out: unusable where the client did not keep the schedule.
trial_outcome outcome_of(const cell& trial, const std::vector<latency_objective>& objectives);

}  // namespace echobench
