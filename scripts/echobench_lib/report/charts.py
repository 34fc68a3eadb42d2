"""The charts of a report.  One Vega-Lite spec in scripts/charts/specs gives the static SVG (drawn by Node) and the
interactive chart of the page; here they get their data, and every variant its colour.

A chart is {name, spec, origin}: what is drawn, its Vega-Lite spec with its data, and where they are from, if it shows
that."""

import json
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import REPOSITORY, Failure
from ..analyse.drift import Point
from ..analyse.summary import Group
from ..documents import Json
from . import chart_data

FOLDER = REPOSITORY / "scripts" / "charts"
MODULES = FOLDER / "node_modules"
LIBRARIES = ("vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js", "vega-embed/build/vega-embed.min.js")

# A variant keeps its colour in every chart and every report; kin are of one hue.
COLOURS = {
    "epoll": "#24292f", "io-uring": "#6e7781", "poll": "#afb8c1",
    "asio-callback": "#0969da", "asio-callback-shared": "#54aeff", "asio-callback-uring": "#0a3069",
    "asio-callback-tuned": "#80ccff",
    "asio-coroutine": "#bf3989", "asio-coroutine-shared": "#ff80c8", "asio-coroutine-uring": "#6e1c4f",
    "asio-coroutine-tuned": "#ffb3dd",
    "asio-stackful": "#8250df", "fiber": "#c297ff",
    "thread-per-connection": "#cf5a00", "thread-pool": "#1a7f37", "prethreaded": "#d4a72c", "prefork": "#7d4e00",
    "iterative": "#b8a100",
}
FAMILIES = {"event loops": ("epoll", "io-uring", "poll"), "callbacks": ("asio-callback",),
            "coroutines": ("asio-coroutine",), "fibers": ("asio-stackful", "fiber"),
            "threads": ("thread-per-connection", "thread-pool", "prethreaded", "prefork", "iterative")}
_OTHERS = ("#00838f", "#c62828", "#5d7a00", "#37618e", "#8e24aa", "#00695c")


def colours(variants: Iterable[str]) -> dict[str, str]:
    """{variant: colour}; NAME@THREADS has the colour of NAME; other servers take further colours in turn."""
    chosen: dict[str, str] = {}
    others = 0
    for variant in variants:
        of = variant.split("@")[0]
        if of in COLOURS or of in chosen:
            chosen[variant] = COLOURS.get(of) or chosen[of]
        else:
            chosen[variant] = _OTHERS[others % len(_OTHERS)]
            others += 1
    return chosen


def family_of(variant: str) -> str:
    """Which kind of model it is, for the page's filters; servers that are not ours are of other runtimes."""
    model = variant.split("@")[0].split("+")[0]
    return next((family for family, members in FAMILIES.items()
                 if model in members or any(model.startswith(f"{member}-") for member in members)), "other runtimes")


def build(groups: Sequence[Group], drifted: Iterable[Point] = ()) -> list[Json]:
    """Every chart for which there is data, complete with it."""
    palette = colours(dict.fromkeys(name for group in groups for row in group.rows
                                    for name in (row.variant.split("@")[0], row.variant)))
    charts = [(name, values) for name, values in chart_data.of_groups(groups, drifted).items() if values]
    return [coloured(name, values, palette) for name, values in charts]


def origin(commit: str | None, cpu: str | None, time: str | None, *more: str | None) -> str:
    """`commit 0123456789ab, AMD EPYC, 2026-11-28`: where a result comes from, as far as it is known."""
    return ", ".join(filter(None, (*more, commit and f"commit {commit[:12]}", cpu, time and time[:10])))


def names() -> set[str]:
    """Of all charts that there can be."""
    return {path.name.removesuffix(".vl.json") for path in (FOLDER / "specs").glob("*.vl.json")}


def shown(charts: Iterable[Json]) -> list[str]:
    """The variants in them."""
    return _variants(point for chart in charts for point in chart["spec"]["data"]["values"])


def _variants(points: Iterable[Json]) -> list[str]:
    """In the order of their first points: the same each time."""
    return list(dict.fromkeys(point["variant"] for point in points if "variant" in point))


def coloured(name: str, values: Sequence[Json], palette: Mapping[str, str] | None = None) -> Json:
    """The chart NAME, in which each of its variants has its colour."""
    spec, variants = complete(name, values), _variants(values)
    palette = palette or colours(variants)
    _set_colours(spec, {variant: palette[variant] for variant in sorted(variants, key=_place)})
    return {"name": name, "spec": spec}


def _place(variant: str) -> int:
    return list(COLOURS).index(variant) if variant in COLOURS else len(COLOURS)


def complete(name: str, values: Sequence[Json]) -> Json:
    """The spec NAME with its data and the style that all charts share.  The panels next to each other share the width
    that it names."""
    spec = json.loads((FOLDER / "specs" / f"{name}.vl.json").read_text())
    facet = spec.get("facet", {})
    field = facet.get("column", facet).get("field")
    across = min(len({point[field] for point in values}), spec.get("columns", len(values))) if field else 1
    unit = spec.get("spec", spec)
    unit["width"] //= max(1, across)
    return {**spec, "data": {"values": values}, "config": json.loads((FOLDER / "config.json").read_text())}


def _set_colours(node: Any, palette: Mapping[str, str]) -> None:
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


def install() -> None:
    """Brings the libraries that the lock file asks for, when they are not there."""
    done = subprocess.run([FOLDER / "install"], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"charts: scripts/charts/install failed: {done.stderr.strip()[-600:]}")


def draw(charts: Sequence[Json], folder: Path) -> dict[str, str]:
    """Writes FOLDER/NAME.svg for every chart and returns {name: svg text}.  A chart that has an `origin` shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["node", str(FOLDER / "render.mjs"), str(folder.resolve())], input=json.dumps(charts),
                          capture_output=True, text=True, cwd=FOLDER)
    if done.returncode:
        raise Failure(f"charts: node render.mjs failed: {done.stderr.strip()[-600:]}")
    return {chart["name"]: (folder / f"{chart['name']}.svg").read_text() for chart in charts}


def libraries() -> list[str]:
    """The scripts of the interactive charts, to be inlined."""
    return [(MODULES / name).read_text() for name in LIBRARIES]
