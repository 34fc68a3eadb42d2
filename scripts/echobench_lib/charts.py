"""The charts of a report.  One Vega-Lite spec in scripts/charts/specs gives the static SVG (drawn by Node) and the
interactive chart of the page; here they get their data, and every variant its colour."""

import json
import math
import subprocess

from . import REPOSITORY, Failure

FOLDER = REPOSITORY / "scripts" / "charts"
MODULES = FOLDER / "node_modules"
LIBRARIES = ("vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js", "vega-embed/build/vega-embed.min.js")
NAMES = ("cpu-ratio", "cpu", "throughput", "latency", "memory")

# A variant keeps its colour in every chart and every report; kin are of one hue.
COLOURS = {
    "epoll": "#24292f", "io-uring": "#6e7781", "poll": "#afb8c1",
    "asio-callback": "#0969da", "asio-callback-shared": "#54aeff", "asio-callback-uring": "#0a3069",
    "asio-coroutine": "#bf3989", "asio-coroutine-shared": "#ff80c8", "asio-coroutine-uring": "#6e1c4f",
    "asio-stackful": "#8250df", "fiber": "#c297ff",
    "thread-per-connection": "#cf5a00", "thread-pool": "#1a7f37", "prethreaded": "#d4a72c", "prefork": "#7d4e00",
    "iterative": "#b8a100",
}
_OTHERS = ("#00838f", "#c62828", "#5d7a00", "#37618e", "#8e24aa", "#00695c")


def colours(variants):
    """{variant: colour}; those that are not ours take further colours in turn."""
    chosen, others = {}, 0
    for variant in variants:
        if variant not in COLOURS:
            chosen[variant] = _OTHERS[others % len(_OTHERS)]
            others += 1
        else:
            chosen[variant] = COLOURS[variant]
    return chosen


def build(groups):
    """[{name, spec}]: every chart for which there is data, complete with it."""
    variants = list(dict.fromkeys(row.variant for group in groups for row in group.rows))
    palette = colours(sorted(variants, key=lambda variant: (variant not in COLOURS, list(COLOURS).index(variant)
                                                            if variant in COLOURS else 0)))
    data = {"cpu-ratio": _ratio_data(groups), "latency": _latency_data(groups), "memory": _memory_data(groups)}
    data["cpu"] = [point for point in _scaling_data(groups) if point["cpu_us"] is not None]
    data["throughput"] = _scaling_data(groups)
    charts = []
    for name in NAMES:
        if data[name]:
            spec = complete(name, data[name])
            shown = {point["variant"] for point in data[name]}
            _set_colours(spec, {variant: colour for variant, colour in palette.items() if variant in shown})
            charts.append({"name": name, "spec": spec})
    return charts


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


def _panel(group):
    """Title of a facet, and its place among them."""
    loads = {"closed": "closed loop", "open": "open loop", "crr": "connect-request-close"}
    workload = group.workload
    return f"{loads[workload.load]}, {workload.connections:,} connection{'s' if workload.connections != 1 else ''}"


def _points(groups):
    for order, group in enumerate(groups):
        for row in group.rows:
            yield group, row, {"variant": row.variant, "panel": _panel(group) + _beside(group, groups), "order": order,
                               "connections": group.workload.connections, "verdict": row.verdict}


def _beside(group, groups):
    """What tells this workload from others of the same load and connections: payload and framing, where they vary."""
    kinds = {(other.workload.payload_bytes, other.workload.framing) for other in groups}
    return f", {group.workload.payload_bytes:,}-byte {group.workload.framing}" if len(kinds) > 1 else ""


def _ratio_data(groups):
    data = []
    for group, row, point in _points(groups):
        if row.cpu_ratio:
            low, high = (row.cpu_ratio.low, row.cpu_ratio.high) if row.cpu_ratio.has_bounds else (None, None)
            data.append({**point, "ratio": row.cpu_ratio.estimate, "low": low, "high": high,
                         "units": f"{row.cpu_ratio.units} {row.cpu_ratio.unit}s"})
        elif row.variant == group.reference and row.cpu_ns is not None:
            data.append({**point, "ratio": 1, "units": "the reference"})
    return data


def _scaling_data(groups):
    """Closed loop only: there the connections are what drives the server."""
    return [{**point, "panel": "closed loop" + _beside(group, groups), "throughput": row.throughput,
             "throughput_text": ("≥ " if row.is_bound else "") + f"{row.throughput:,.0f}",
             "cpu_us": row.cpu_ns / 1000 if row.cpu_ns is not None else None, "bound": row.is_bound}
            for group, row, point in _points(groups) if group.workload.load == "closed" and row.throughput is not None]


def _latency_data(groups):
    data = []
    for _, row, point in _points(groups):
        if row.histogram is None or not row.histogram.total:
            continue
        last = -math.log10(1 - row.histogram.most_percent() / 100)
        grid = [step * 0.05 for step in range(int(last / 0.05) + 1)]
        for nines in grid:
            percent = 100 * (1 - 10**-nines)
            data.append({"variant": point["variant"], "panel": point["panel"], "order": point["order"],
                         "nines": round(nines, 3), "percent": f"{percent:.5g}",
                         "us": max(1, row.histogram.at(percent)) / 1000, "kind": row.latency_kind})
    return data


def _memory_data(groups):
    return [{**point, "kib": row.memory_bytes / 1024, "threads": row.threads}
            for group, row, point in _points(groups)
            if row.memory_bytes is not None and group.workload.load == "closed"]


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
