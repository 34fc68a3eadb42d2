"""The charts of a report.  One Vega-Lite spec in scripts/charts/specs gives the static SVG (drawn by Node) and the
interactive chart of the page; here they get their data, and every variant its colour."""

import json
import math
import subprocess

from .. import REPOSITORY, Failure, pattern
from ..analyse.scaling import steps
from ..analyse.summary import COST
from ..result import LOADS
from ..units import format_connections, format_time_ns
from . import blocking
from .columns import throughput_text

FOLDER = REPOSITORY / "scripts" / "charts"
MAIN_RATES = ("half", "50%")  # whose costs are the headline
MODULES = FOLDER / "node_modules"
LIBRARIES = ("vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js", "vega-embed/build/vega-embed.min.js")
NAMES = ("ladder", "cost-ratio", "cost-curve", "gain", "throughput", "latency-by-load", "latency", "memory", "bent-cost", "blocking", "scaling")

# A variant keeps its colour in every chart and every report; kin are of one hue.
COLOURS = {
    "epoll": "#24292f", "io-uring": "#6e7781", "poll": "#afb8c1",
    "asio-callback": "#0969da", "asio-callback-shared": "#54aeff", "asio-callback-uring": "#0a3069",
    "asio-callback-textbook": "#80ccff",
    "asio-coroutine": "#bf3989", "asio-coroutine-shared": "#ff80c8", "asio-coroutine-uring": "#6e1c4f",
    "asio-coroutine-textbook": "#ffb3dd",
    "asio-stackful": "#8250df", "fiber": "#c297ff",
    "thread-per-connection": "#cf5a00", "thread-pool": "#1a7f37", "prethreaded": "#d4a72c", "prefork": "#7d4e00",
    "iterative": "#b8a100",
}
FAMILIES = {"loops": ("epoll", "io-uring", "poll"), "callbacks": ("asio-callback",), "coroutines": ("asio-coroutine",),
            "fibers": ("asio-stackful", "fiber"),
            "threads": ("thread-per-connection", "thread-pool", "prethreaded", "prefork", "iterative")}
_OTHERS = ("#00838f", "#c62828", "#5d7a00", "#37618e", "#8e24aa", "#00695c")


def colours(variants):
    """{variant: colour}; the steps of a ladder have their variant's; those that are not ours take further colours in turn."""
    chosen, others = {}, 0
    for variant in variants:
        of = variant.split("@")[0]
        if of in COLOURS or of in chosen:
            chosen[variant] = COLOURS.get(of) or chosen[of]
        else:
            chosen[variant] = _OTHERS[others % len(_OTHERS)]
            others += 1
    return chosen


def family_of(variant):
    """Of models of one kind, by which a reader may want them apart; what is not ours is a baseline."""
    model = variant.split("@")[0].split("+")[0]
    return next((family for family, members in FAMILIES.items() if model in members or any(model.startswith(f"{member}-") for member in members)),
                "baselines")


def build(groups):
    """[{name, spec}]: every chart for which there is data, complete with it."""
    data = {"ladder": _ladder_data(groups), "latency-by-load": _load_data(groups), "cost-ratio": _ratio_data(groups), "cost-curve": _curve_data(groups), "gain": _gain_data(groups),
            "throughput": _closed_data(groups), "latency": _latency_data(groups), "memory": _memory_data(groups), "blocking": _blocking_data(groups),
            "scaling": _scaling_data(groups)}
    data["bent-cost"] = [point for point in data["throughput"] if point["cpu_us"] is not None]
    palette = colours(dict.fromkeys(name for group in groups for row in group.rows for name in (row.variant.split("@")[0], row.variant)))
    charts = []
    for name in NAMES:
        if data[name]:
            spec = complete(name, data[name])
            shown = {point["variant"] for point in data[name] if "variant" in point}
            _set_colours(spec, {variant: palette[variant] for variant in sorted(shown, key=_ladder_place)})
            charts.append({"name": name, "spec": spec})
    return charts


def _ladder_place(variant):
    return list(COLOURS).index(variant) if variant in COLOURS else len(COLOURS)


def complete(name, values):
    """The spec NAME with its data and the style that all charts share."""
    spec = json.loads((FOLDER / "specs" / f"{name}.vl.json").read_text())
    return {**spec, "data": {"values": values}, "config": json.loads((FOLDER / "config.json").read_text())}


def _set_colours(node, palette):
    """Gives every channel that shows the variant by colour the same scale."""
    if isinstance(node, list):
        for child in node:
            _set_colours(child, palette)
    elif isinstance(node, dict):
        for key, child in node.items():
            if key == "color" and isinstance(child, dict) and child.get("field") == "variant":
                child["scale"] = {"domain": list(palette), "range": list(palette.values())}
            elif key != "data":
                _set_colours(child, palette)


def _panel(group, groups):
    """Title of a facet."""
    workload = group.workload
    where = f"{workload.rate_text}, " if workload.rate else ""
    return f"{LOADS[workload.load]}, {where}{format_connections(workload.connections)}{_beside(group, groups)}"


def _over(group, groups):
    """Title of a facet whose chart says the load."""
    return format_connections(group.workload.connections) + _beside(group, groups)


def _points(groups, loads=tuple(LOADS)):
    """Of every row that is no twin: a twin is the same server made slower."""
    for order, group in enumerate(groups):
        for row in group.rows if group.workload.load in loads else ():
            if row.twin_of is None:
                yield group, row, {"variant": row.variant, "panel": _panel(group, groups), "order": order,
                                   "connections": group.workload.connections, "verdict": row.verdict}


def _beside(group, groups):
    """What tells this workload from others of the same load and connections: payload and framing, where they vary; what is
    asked for, and how, where that is not the plainest."""
    workload = group.workload
    kinds = {(other.workload.payload_bytes, other.workload.framing) for other in groups}
    text = f", {workload.payload_bytes:,}-byte {workload.framing}" if len(kinds) > 1 else ""
    return text + (f", {workload.op}" if workload.op != "echo" else "") + pattern.text(workload.pattern)


def _ratio_data(groups):
    data = []
    for group, row, point in _points(groups, ("equal-load", "saturation", "ping-pong")):
        if group.unranked(COST):
            continue
        if row.cost_ratio:
            low, high = (row.cost_ratio.low, row.cost_ratio.high) if row.cost_ratio.has_bounds else (None, None)
            data.append({**point, "ratio": row.cost_ratio.estimate, "low": low, "high": high,
                         "units": f"{row.cost_ratio.units} {row.cost_ratio.unit}s"})
        elif row.variant == group.reference and row.cost_ns is not None:
            data.append({**point, "ratio": 1, "units": "the reference"})
    return data


def _ladder_data(groups):
    """At the main rate; the number beside a bar is the rank, where there is one."""
    data = []
    for group, row, point in _points(groups, ("equal-load",)):
        if group.workload.rate in MAIN_RATES and row.cost_ns is not None:
            cost = row.cost_interval.scaled(1e-3)
            data.append({**point, "panel": _over(group, groups), "us": row.cost_ns / 1000,
                         "low": cost.low, "high": cost.high, "end": max(cost.high or 0, row.cost_ns / 1000), "doubt": group.unranked(COST), "rank": row.rank,
                         "text": f"{row.cost_ns / 1000:.1f} µs" + (f"  ({row.rank})" if row.rank else "")})
    return data


def _several_rates(groups, loads, least=3):
    """Groups of servers that were measured at so many rates at least."""
    rates = {}
    for group in groups:
        if group.workload.load in loads and group.rate_per_s:
            rates.setdefault(group.workload.ladder_order, set()).add(group.rate_per_s)
    return [group for group in groups if len(rates.get(group.workload.ladder_order, ())) >= least]


def _load_data(groups):
    loads = ("equal-load", "open")
    return [{**point, "panel": _over(group, groups), "rate": group.rate_per_s,
             "percentile": name, "us": row.latency_ns[name] / 1000, "text": format_time_ns(row.latency_ns[name])}
            for group, row, point in _points(_several_rates(groups, loads), loads) for name in ("p50", "p99") if name in row.latency_ns]


def _curve_data(groups):
    """Where one set of servers was measured at several rates."""
    data = []
    for group, row, point in _points(_several_rates(groups, ("equal-load",)), ("equal-load",)):
        if row.cost_ns is None:
            continue
        cost = row.cost_interval.scaled(1e-3)
        user_us = row.cost_ns * row.user_share / 1000 if row.user_share is not None else None
        figures = {"CPU per request, µs": (cost.estimate, cost.low, cost.high),
                   "of it user, µs": (user_us,), "of it system, µs": (row.cost_ns / 1000 - user_us if user_us is not None else None,),
                   "wake-ups per request": (row.wakeups,), "requests per wake-up": (1 / row.wakeups if row.wakeups else None,)}
        for order, (figure, (value, *bounds)) in enumerate(figures.items()):
            low, high = bounds or (None, None)
            low = max(0, low) if low is not None else None  # a cost is not negative
            if value is not None:
                data.append({**point, "panel": _over(group, groups), "figure": figure,
                             "figure_order": order, "rate": group.rate_per_s, "value": value, "low": low, "high": high})
    return data


def _gain_data(groups):
    """Where several burns, or several variants, have twins: otherwise the tables say it."""
    twins = {gain.twin for group in groups for gain in group.gains.get(COST, [])}
    if len(twins) < 2:
        return []
    data = []
    for order, group in enumerate(groups):
        workload = group.workload
        for gain in group.gains.get(COST, []):
            interval = gain.gain
            data.append({"panel": f"{gain.of}, {format_connections(workload.connections)}{_beside(group, groups)}", "order": f"{gain.of} {workload.connections:09}",
                         "load": " ".join(filter(None, (LOADS[workload.load], workload.rate))), "load_order": order,
                         "burn": gain.twin.rsplit("+", 1)[-1], "known_us": gain.known_ns / 1000, "gain": interval.estimate,
                         "low": interval.low, "high": interval.high, "doubt": gain.doubt or "shown"})
    return data


def _closed_data(groups):
    """Closed loop only: there the connections are what drives the server."""
    return [{**point, "panel": "closed loop" + _beside(group, groups), "throughput": row.throughput,
             "throughput_text": ("≥ " if row.is_bound else "") + f"{row.throughput:,.0f}",
             "cpu_us": row.cost_ns / 1000 if row.cost_ns is not None else None, "bound": row.is_bound}
            for group, row, point in _points(groups, ("closed",)) if row.throughput is not None]


def _latency_data(groups):
    data = []
    for _, row, point in _points(groups, ("open", "closed", "crr", "ping-pong")):
        if row.histogram is None or not row.histogram.total or row.cells[0]["workload"].get("beside"):
            continue
        last = -math.log10(1 - row.histogram.most_percent() / 100)
        grid = [step * 0.05 for step in range(int(last / 0.05) + 1)]
        for nines in grid:
            percent = 100 * (1 - 10**-nines)
            data.append({"variant": point["variant"], "panel": point["panel"], "order": point["order"],
                         "nines": round(nines, 3), "percent": f"{percent:.5g}",
                         "us": max(1, row.histogram.at(percent)) / 1000, "kind": row.latency_kind})
    return data


def _blocking_data(groups):
    """Beside what else was asked of the same server: p50 and p99."""
    blocked = {group.workload.without_beside for group in groups if group.workload.beside}
    own = blocking.in_order(group for group in groups if group.workload.without_beside in blocked)
    labels = blocking.short_labels(own) if len(blocked) == 1 else [group.workload.describe(group.rate_per_s) for group in own]
    return [{**point, "panel": label, "order": order, "percentile": name, "us": row.latency_ns[name] / 1000,
             "text": format_time_ns(row.latency_ns[name])}
            for order, (group, label) in enumerate(zip(own, labels)) for _, row, point in _points([group])
            for name in ("p50", "p99") if name in row.latency_ns]


def _scaling_data(groups):
    """Ladders of more than one step."""
    data = []
    for order, group in enumerate(groups):
        for step in steps(group):
            if step.is_first or step.row.throughput is None:
                values = (1, None, None)
            else:
                values = (step.speed_up.estimate, step.speed_up.low, step.speed_up.high)
            data.append({"variant": step.of, "panel": _panel(group, groups), "order": order, "threads": step.threads,
                         **dict(zip(("speed_up", "low", "high"), values)), "throughput_text": throughput_text(step.row),
                         "cpu_us": step.row.cost_ns / 1000 if step.row.cost_ns is not None else None})
    return data if len({point["threads"] for point in data}) > 1 else []


def _memory_data(groups):
    return [{**point, "kib": row.memory_bytes / 1024, "threads": row.threads}
            for _, row, point in _points(groups, ("closed", "idle")) if row.memory_bytes is not None]


def install():
    """Brings the libraries that the lock file asks for, when they are not there."""
    done = subprocess.run([FOLDER / "install"], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"charts: scripts/charts/install failed: {done.stderr.strip()[-600:]}")


def draw(charts, folder):
    """Writes FOLDER/NAME.svg for every chart and returns {name: svg text}."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["node", str(FOLDER / "render.mjs"), str(folder)], input=json.dumps(charts),
                          capture_output=True, text=True, cwd=FOLDER)
    if done.returncode:
        raise Failure(f"charts: node render.mjs failed: {done.stderr.strip()[-600:]}")
    return {chart["name"]: (folder / f"{chart['name']}.svg").read_text() for chart in charts}


def libraries():
    """The scripts of the interactive charts, to be inlined."""
    return [(MODULES / name).read_text() for name in LIBRARIES]
