"""What each chart of a report shows: points, as plain values with the names that its spec in scripts/charts/specs asks
for."""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .. import pattern
from ..analyse import connections
from ..analyse.drift import Point
from ..analyse.scaling import steps
from ..analyse.summary import COST, Group, Row
from ..documents import Json
from ..result import LOADS
from ..result.histogram import Histogram, decode, merge
from ..units import format_bytes, format_connections, format_time_ns, shortened
from . import blocking
from .columns import throughput_text

MAIN_RATE = "50%"  # whose costs are the headline
NINES_STEP, HALF = 0.2, 0.3    # of the axis of percentiles: 1 is 90 %, 2 is 99 %; the median is shown, too
LEAST_FOR_TURN = 4             # rates
LEAST_DIP, MOST_FALL = 0.25, 0.1  # how far, of 1, a curve must lie below its chord, and may fall before it rises
LEAST_WAKEUPS = 0.01          # a request: a server that sleeps less is polling, and requests per wake-up mean nothing
IDLE = ("idle",)


def of_groups(groups: Sequence[Group], drifted: Iterable[Point] = ()) -> dict[str, list[Json]]:
    """{name of the chart: its points}, in the order of the page, to five significant digits; empty where there is
    nothing to show."""
    drift = [{**asdict(point), "restart": point.restart + 1} for point in drifted]
    return {name: list(map(shortened, points)) for name, points in {**_of_groups(groups), "drift": drift}.items()}


def _of_groups(groups: Sequence[Group]) -> dict[str, list[Json]]:
    closed = _closed_loop_data(groups)
    return {"cost-by-model": _model_data(groups), "cost-ratio": _ratio_data(groups), "cost-curve": _curve_data(groups),
            "cpu-split": _split_data(groups), "recovery": _recovery_data(groups), "throughput": closed,
            "latency-by-load": _load_data(groups), "latency": _latency_data(groups), "fairness": _fairness_data(groups),
            "memory": _memory_data(groups), "connecting": _connecting_data(groups),
            "closed-loop-cost": [point for point in closed if point["cpu_us"] is not None],
            "blocking": _blocking_data(groups), "scaling": _scaling_data(groups)}


def _panel(group: Group, groups: Sequence[Group]) -> str:
    """Title of a facet."""
    workload = group.workload
    where = f"{workload.rate_text(group.rate_per_s)}, " if workload.rate else ""
    return f"{LOADS[workload.load]}, {where}{format_connections(workload.connections)}{_details(group, groups)}"


def _over(group: Group, groups: Sequence[Group]) -> str:
    """Title of a facet whose chart says the load."""
    return format_connections(group.workload.connections) + _details(group, groups)


def _points(groups: Sequence[Group], loads: Iterable[str] = tuple(LOADS)) -> Iterator[tuple[Group, Row, Json]]:
    """Of every row that is not a control, which is the same server made slower."""
    for order, group in enumerate(groups):
        for row in group.rows if group.workload.load in loads else ():
            if row.control_of is None:
                yield group, row, {"variant": row.variant, "panel": _panel(group, groups), "order": order,
                                   "connections": group.workload.connections, "verdict": row.verdict}


def _details(group: Group, groups: Iterable[Group]) -> str:
    """What distinguishes this workload from others of the same load and connections: payload and framing, if they vary;
    operation and pattern, if they are not the plainest."""
    workload = group.workload
    kinds = {(other.workload.payload_bytes, other.workload.framing) for other in groups
             if (other.workload.load, other.workload.connections) == (workload.load, workload.connections)}
    text = f", {workload.payload_bytes:,}-byte {workload.framing}" if len(kinds) > 1 else ""
    return text + (f", {workload.op}" if workload.op != "echo" else "") + pattern.text(workload.pattern)


def _ratio_data(groups: Sequence[Group]) -> list[Json]:
    data = []
    for group, row, point in _points(groups, ("equal-load", "saturation", "ping-pong")):
        if group.is_biased:
            continue
        if ratio := row.cost_ratio:
            data.append({**point, "ratio": ratio.estimate, "low": ratio.low, "high": ratio.high,
                         "units": f"{ratio.units} {ratio.unit}s"})
        elif row.variant == group.reference and row.cost_ns is not None:
            data.append({**point, "ratio": 1, "units": "the reference"})
    return data


def _model_data(groups: Sequence[Group]) -> list[Json]:
    """At the main rate, in the order of the table: by the ratio, where it is shown; the number after a bar is the rank,
    where there is one."""
    data = []
    for group, row, point in _points(groups, ("equal-load",)):
        if group.workload.rate == MAIN_RATE and row.cost_ns is not None:
            us = row.cost_ns / 1000
            low, high = _bounds_us(row)
            note = row.rank and f"({row.rank.text})" or group.unranked(COST)
            data.append({**point, "panel": _over(group, groups), "place": group.rows.index(row), "us": us, "low": low,
                         "high": high, "end": max(high or 0, us), "doubt": group.unranked(COST),
                         "rank": row.rank.text if row.rank else None, "text": f"{us:.1f} µs  {note}".rstrip()})
    return data


def _bounds_us(row: Row) -> tuple[float, float] | tuple[None, None]:
    """Of a cost, in microseconds, relative to the reference, which has none: that all speeds drift together is no
    difference."""
    interval = row.cost_interval
    if row.cost_ratio is None or interval is None or interval.bounds is None:
        return None, None
    low, high = interval.bounds
    return low / 1000, high / 1000


def _split_data(groups: Sequence[Group]) -> list[Json]:
    """At the main rate; where enough ticks of the kernel fell into it."""
    data: list[Json] = []
    for group, row, point in _points(groups, ("equal-load", "ping-pong")):
        if row.cost_ns is None or row.user_share is None or group.workload.rate not in ("", MAIN_RATE):
            continue
        shares = {"system": 1 - row.user_share, "user": row.user_share}
        data += [{**point, "part": part, "us": row.cost_ns * share / 1000, "share": f"{100 * share:.0f} %",
                  "whole": row.cost_ns / 1000} for part, share in shares.items()]
    return data


def _several_rates(groups: Iterable[Group], loads: Iterable[str], least: int = 3) -> list[Group]:
    """Groups of servers that were measured at `least` rates or more."""
    rates: dict[tuple[Any, ...], set[float]] = {}
    for group in groups:
        if group.workload.load in loads and group.rate_per_s:
            rates.setdefault(group.workload.order_without_rate, set()).add(group.rate_per_s)
    return [group for group in groups if len(rates.get(group.workload.order_without_rate, ())) >= least]


def _load_data(groups: Sequence[Group]) -> list[Json]:
    loads = ("equal-load", "open-loop")
    data: list[Json] = [
        {**point, "panel": _over(group, groups), "rate": group.rate_per_s, "percentile": name,
         "us": row.latency_ns[name] / 1000, "text": format_time_ns(row.latency_ns[name])}
        for group, row, point in _points(_several_rates(groups, loads), loads)
        for name in ("p50", "p99") if name in row.latency_ns]
    curves: dict[tuple[str, str], list[Json]] = {}
    for point in data:
        if point["percentile"] == "p99":
            curves.setdefault((point["variant"], point["panel"]), []).append(point)
    for points in curves.values():
        if (turn := turning_point([(point["rate"], math.log(point["us"])) for point in points])) is not None:
            points[turn]["turning_point"] = "turning point"
    return data


def turning_point(points: Sequence[tuple[float, float]]) -> int | None:
    """Which of the (x, y) points is where a curve turns up that rises ever faster: the one furthest below its chord,
    both axes scaled to 1 (Satopaa and others, "Finding a Kneedle in a Haystack", 2011, section III).  None where the
    curve does not turn, falls first, or has too few points."""
    order = sorted(range(len(points)), key=lambda index: points[index][0])
    (x0, y0), (x1, y1) = points[order[0]], points[order[-1]]
    if len(points) < LEAST_FOR_TURN or x1 == x0 or y1 <= y0:
        return None
    below = {index: (points[index][0] - x0) / (x1 - x0) - (points[index][1] - y0) / (y1 - y0) for index in order}
    turn = max(below, key=lambda index: below[index])
    falls = (y0 - points[turn][1]) / (y1 - y0)
    return turn if below[turn] >= LEAST_DIP and falls <= MOST_FALL else None


def _curve_data(groups: Sequence[Group]) -> list[Json]:
    """Where one set of servers was measured at several rates."""
    data = []
    for group, row, point in _points(_several_rates(groups, ("equal-load",)), ("equal-load",)):
        if row.cost_ns is None:
            continue
        user_us = row.cost_ns * row.user_share / 1000 if row.user_share is not None else None
        system_us = row.cost_ns / 1000 - user_us if user_us is not None else None
        each_wakeup = 1 / row.wakeups if row.wakeups is not None and row.wakeups >= LEAST_WAKEUPS else None
        figures: dict[str, tuple[float | None, ...]] = {
            "CPU per request, µs": (row.cost_ns / 1000, *_bounds_us(row)), "of which user, µs": (user_us,),
            "of which system, µs": (system_us,), "wake-ups per request": (row.wakeups,),
            "requests per wake-up": (each_wakeup,)}
        for order, (figure, (value, *bounds)) in enumerate(figures.items()):
            low, high = bounds or (None, None)
            if value is not None:
                data.append({**point, "panel": _over(group, groups), "figure": figure,
                             "figure_order": order, "rate": group.rate_per_s, "value": value, "low": low, "high": high})
    return data


def _recovery_data(groups: Sequence[Group]) -> list[Json]:
    """If there are several controls; one is in the tables."""
    controls = {recovery.control for group in groups for recovery in group.recoveries.get(COST, [])}
    if len(controls) < 2:
        return []
    data = []
    for order, group in enumerate(groups):
        workload = group.workload
        for recovery in group.recoveries.get(COST, []):
            interval = recovery.ratio
            load = ", ".join(filter(None, (LOADS[workload.load], workload.rate_text(group.rate_per_s))))
            data.append({"panel": f"{recovery.of}, {_over(group, groups)}",
                         "order": f"{recovery.of} {workload.connections:09}", "load": load, "load_order": order,
                         "connections": workload.connections, "burn": recovery.control.rsplit("+", 1)[-1],
                         "known_us": recovery.known_ns / 1000, "recovery": interval.estimate, "low": interval.low,
                         "high": interval.high, "outcome": recovery.outcome})
    return data


def _closed_loop_data(groups: Sequence[Group]) -> list[Json]:
    """Closed loop only: there the connections are what drives the server."""
    return [{**point, "panel": "closed loop" + _details(group, groups), "throughput": row.throughput,
             "throughput_text": throughput_text(row),
             "cpu_us": row.cost_ns / 1000 if row.cost_ns is not None else None, "bound": row.is_bound}
            for group, row, point in _points(groups, ("closed-loop",)) if row.throughput is not None]


def _latency_data(groups: Sequence[Group]) -> list[Json]:
    """Where arrivals were scheduled both kinds: from the intended send, and, uncorrected, from the actual one."""
    data: list[Json] = []
    for group, row, point in _points(groups, ("open-loop", "closed-loop", "crr", "ping-pong")):
        if row.histogram is None or not row.histogram.total or group.workload.background:
            continue
        shown = {name: point[name] for name in ("variant", "panel", "order", "connections")}
        sound = row.kept or row.cells
        kinds = {"service": "service time"}
        if row.latency_kind == "response":
            kinds = {"response": "corrected", "service": "uncorrected"}
        for kind, name in kinds.items():
            if all(kind in cell.histograms for cell in sound):
                restarts = [decode(cell.histograms[kind]) for cell in sound]
                data += [{**shown, "kind": name, **percentile} for percentile in _percentiles(restarts)]
    return data


def _percentiles(restarts: Sequence[Histogram]) -> list[Json]:
    """Along the axis: of all restarts merged, and from the lowest to the highest restart where each has enough
    samples."""
    merged = merge(restarts)
    points, most = [], _most_nines(merged)
    grid = [step * NINES_STEP for step in range(int(most / NINES_STEP) + 1)]
    for nines in sorted([*([HALF] if HALF <= most else []), *grid]):
        percent = 100 * (1 - 10**-nines)
        values = [restart.at(percent) for restart in restarts if restart.total and _most_nines(restart) >= nines]
        band = {"low": min(values) / 1000, "high": max(values) / 1000} if len(values) == len(restarts) > 1 else {}
        points.append({"nines": round(nines, 3), "percent": f"{percent:.5g}",
                       "us": max(1, merged.at(percent)) / 1000, **band})
    return points


def _most_nines(histogram: Histogram) -> float:
    return -math.log10(1 - histogram.most_percent() / 100) if histogram.most_percent() < 100 else math.inf


def _fairness_data(groups: Sequence[Group]) -> list[Json]:
    """Over a hundred connections and more; the median of the restarts, and what the worst connection got."""
    data = []
    for group, row, point in _points(groups, ("saturation", "closed-loop")):
        known = [cell.fairness.jain_index for cell in row.cells if cell.fairness.jain_index is not None]
        if known and row.verdict != "wrong-replies" and group.workload.connections >= connections.LEAST:
            data.append({**point, "jain": statistics.median(known), "least": min(known)})
    return data


def _connecting_data(groups: Sequence[Group]) -> list[Json]:
    """Of the loads that are about connecting: how many a second, and how long one takes."""
    data = []
    for group, row, point in _points(groups, (*IDLE, "crr")):
        rate = row.connects_per_s if group.workload.load in IDLE else row.throughput
        if rate:
            data.append({**point, "rate": rate, "bound": row.is_bound,
                         "text": ("≥ " if row.is_bound else "") + f"{rate:,.0f}/s",
                         "p50": format_time_ns(row.connect_ns["p50"]) if "p50" in row.connect_ns else "",
                         "p99": format_time_ns(row.connect_ns["p99"]) if "p99" in row.connect_ns else ""})
    return data


def _blocking_data(groups: Sequence[Group]) -> list[Json]:
    """p50 and p99, with and without a background load on the same server."""
    blocked = {group.workload.without_background for group in groups if group.workload.background}
    ordered = blocking.in_order(group for group in groups if group.workload.without_background in blocked)
    labels = [group.workload.describe(group.rate_per_s) for group in ordered]
    if len(blocked) == 1:
        labels = blocking.short_labels(ordered)
    return [{**point, "panel": label, "order": order, "percentile": name, "us": row.latency_ns[name] / 1000,
             "text": format_time_ns(row.latency_ns[name])}
            for order, (group, label) in enumerate(zip(ordered, labels)) for _, row, point in _points([group])
            for name in ("p50", "p99") if name in row.latency_ns]


def _scaling_data(groups: Sequence[Group]) -> list[Json]:
    """Variants that were measured with more than one number of threads."""
    data = []
    for order, group in enumerate(groups):
        for step in steps(group):
            speed_up: Json = {"speed_up": 1, "low": None, "high": None}
            if not step.is_first:
                if step.speed_up is None:
                    continue
                speed_up = {"speed_up": step.speed_up.estimate, "low": step.speed_up.low, "high": step.speed_up.high}
            data.append({"variant": step.of, "panel": _panel(group, groups), "order": order, "threads": step.threads,
                         "connections": group.workload.connections, **speed_up,
                         "throughput_text": throughput_text(step.row),
                         "cpu_us": step.row.cost_ns / 1000 if step.row.cost_ns is not None else None})
    return data if len({point["threads"] for point in data}) > 1 else []


def _memory_data(groups: Sequence[Group]) -> list[Json]:
    """If each server was alone, the socket buffers, too: the kernel shows them for the whole system only."""
    data: list[Json] = []
    for group, row, point in _points(groups, ("closed-loop", *IDLE)):
        if row.memory_bytes is None or row.user_memory_bytes is None:
            continue
        kernel = row.memory_bytes - row.user_memory_bytes
        parts = {"user": row.user_memory_bytes, "kernel stacks, page tables": max(0, kernel)}
        if group.workload.load in IDLE and row.kernel_memory_bytes is not None:
            parts["kernel socket buffers"] = max(0, row.kernel_memory_bytes - kernel)
        whole = sum(parts.values())
        data += [{**point, "part": part, "kib": size / 1024, "whole": whole / 1024, "whole_text": format_bytes(whole),
                  "text": format_bytes(size), "threads": row.threads} for part, size in parts.items()]
    return data
