"""The charts of a report.  One Vega-Lite spec in scripts/charts/specs gives the static SVG (drawn by Node) and the
interactive chart of the page; here they get their data, and every variant the colour that its palette says.

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
from .palette import Palette

FOLDER = REPOSITORY / "scripts" / "charts"
MODULES = FOLDER / "node_modules"
LIBRARIES = ("vega/build/vega.min.js", "vega-lite/build/vega-lite.min.js", "vega-embed/build/vega-embed.min.js")


def build(groups: Sequence[Group], palette: Palette, drifted: Iterable[Point] = ()) -> list[Json]:
    """Every chart for which there is data, complete with it."""
    colours = palette.colours(dict.fromkeys(name for group in groups for row in group.rows
                                            for name in (row.variant.split("@")[0], row.variant)))
    charts = [(name, values) for name, values in chart_data.of_groups(groups, drifted).items() if values]
    return [coloured(name, values, palette, colours) for name, values in charts]


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


def coloured(name: str, values: Sequence[Json], palette: Palette, colours: Mapping[str, str] | None = None) -> Json:
    """The chart NAME, in which each of its variants has its colour: of `colours`, if several charts share them."""
    spec, variants = complete(name, values), _variants(values)
    colours = colours or palette.colours(variants)
    _set_colours(spec, {variant: colours[variant] for variant in sorted(variants, key=palette.place)})
    return {"name": name, "spec": spec}


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


def _set_colours(node: Any, colours: Mapping[str, str]) -> None:
    """Gives every channel that shows the variant by colour the same scale."""
    if isinstance(node, list):
        for child in node:
            _set_colours(child, colours)
    elif isinstance(node, dict):
        for key, child in node.items():
            if key == "color" and isinstance(child, dict) and child.get("field") == "variant":
                child["scale"] = {"domain": list(colours), "range": list(colours.values())}
            elif key != "data":
                _set_colours(child, colours)


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
