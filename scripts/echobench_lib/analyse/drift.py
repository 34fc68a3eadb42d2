"""Drift: how the speed of the host changed while an experiment was measured, by what a request cost the reference."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..result import Result
from .summary import RANKED, cost_of, is_sound

LEAST_RESTARTS = 3  # of a block, whose median is what its restarts are compared with
WINDOW = 5          # runs whose median is the drift at the one in the middle: one run scatters by itself
WORTH_SAYING = 0.1


@dataclass(frozen=True)
class Point:
    """One run.  `deviation`: of the reference's cost from the median of its block's restarts, 0.1 is 10 % more;
    `smoothed`: median of the runs around it."""

    minutes: float
    block: str
    restart: int
    deviation: float
    smoothed: float


def drift(result: Result, reference: str) -> list[Point]:
    """A Point for each run of a cost, in the order of time; empty with too few of them."""
    begun = {(run.block, run.restart): datetime.fromisoformat(run.started_at) for run in result.runs}
    costs = {(cell.block, cell.restart): cost for cell in result.cells
             if cell.variant == reference and cell.load in RANKED and is_sound(cell) and (cost := cost_of(cell))}
    by_block: dict[str, list[float]] = {}
    for (block, _), cost in costs.items():
        by_block.setdefault(block, []).append(cost)
    runs = sorted((key for key in costs.keys() & begun.keys() if len(by_block[key[0]]) >= LEAST_RESTARTS),
                  key=lambda key: begun[key])
    deviations = [costs[key] / statistics.median(by_block[key[0]]) - 1 for key in runs]
    if len(runs) < 2 * WINDOW:
        return []
    points = []
    for number, (block, restart) in enumerate(runs):
        first = min(max(0, number - WINDOW // 2), len(runs) - WINDOW)
        minutes = (begun[block, restart] - begun[runs[0]]).total_seconds() / 60
        smoothed = statistics.median(deviations[first:first + WINDOW])
        points.append(Point(minutes, block, restart, deviations[number], smoothed))
    return points


def sentence(points: Sequence[Point], reference: str) -> str:
    """If it is worth a line; else empty."""
    smoothed = [100 * point.smoothed for point in points]
    low, high = min(smoothed, default=0.0), max(smoothed, default=0.0)
    if max(-low, high) <= 100 * WORTH_SAYING:
        return ""
    return (f"the speed of the host drifted: a request cost {reference} {low:+.0f} to {high:+.0f} % in the course of "
            "the run. Ratios are taken within seconds and do not contain it; absolute figures do.")
