"""The report as one HTML file that needs no network: styles, data and libraries are in it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from .. import documents
from ..analyse import recovery
from ..analyse.drift import drift
from ..analyse.summary import COST, RANKED, Group, Row
from ..documents import Json
from ..result import TITLES, Result
from . import blocking, charts, companions, scaling, tables
from .columns import (
    ABSENT, CAPACITY, CLOSED_LOOP_COST, COST_COLUMN, INTERVAL, P50, P99, P999, RANK, RATIO, USER, VERDICT, WAKEUPS,
    verdict_text)
from .notes import notes
from .palette import Palette
from .table import Table
from .terminal import UNFINISHED

VERDICTS = {
    "valid": "No check found anything wrong with this row.",
    "unsaturated": "The server was not clearly the bottleneck (busy for 95 % of the time, and the client for less than "
                   "90 %), so the cell has no cost at saturation.",
    "client-bound": "The load generator was the bottleneck (closed loop: it was busy while the server was not; "
                    "open loop: sends fell behind schedule). Throughput is a lower bound, printed with ≥, and is not "
                    "ranked. There is no cost at equal load, because the load was not equal.",
    "overloaded": "The server did not answer what the open loop offered. Latency is what users would see at that rate; "
                  "there is no cost at equal load, because the load was not served.",
    "starved": "Some connection got no reply, or replies were spread unevenly (Jain index below 0.9): the mean hides "
               "that some clients were not served.",
    "errors": "Connections failed, timed out or were closed; the figures describe only what was answered.",
    "wrong-replies": "A reply was not byte for byte what was sent. A row with a wrong answer has no figures.",
}
MEANINGS = {
    "equal-load": "The headline: the same arrivals for every server, at a rate that all can serve.",
    "saturation": "Every server burns the same added work, so that it is the bottleneck; what it really burnt is "
                  "subtracted.",
    "ping-pong": "One request at a time: nothing is saturated, and every request wakes the server.",
    "open-loop": "Slices of a second and more, so that queues can build.",
    "closed-loop": "Each connection sends when it was answered. For throughput if the server was the bottleneck, and "
                   "for memory. Its CPU per request is biased: it follows the client's speed.",
    "stream": "Connections that are kept full; megabytes (10^6) each way, headers included.",
    "blocking": "The same requests, one server at a time, with and without a background load on the same server that "
                "asks for what takes long.",
    "idle": "What a connection costs that only stays open: memory of the server and of the kernel, threads, and the "
            "time until it is accepted.",
    "crr": "A connection for each request: even a model that serves one client at a time can be compared.",
}
_WITHOUT_SCRIPT = "<p>drawn by the page's script</p>"
_SCRIPT = Path(__file__).parent / "templates" / "page.js"
_OF_COST = {column.name for column in (COST_COLUMN, RATIO, INTERVAL)}
# Over the restarts that are kept, where costs are compared.
_OF_KEPT = _OF_COST | {column.name for column in (RANK, CAPACITY, USER, WAKEUPS, P50, P99, P999)}
_LINKS = {"tables": "Tables", "verdicts": "Verdicts", "reading": "How to read",
          "host": "Host and commands"}


def write(result: Result, groups: Sequence[Group], folder: Path, attached: Mapping[str, Json]) -> Path:
    """Writes charts/*.svg and index.html into `folder` and returns the page's path.  `attached` {name: document} are
    companions."""
    replaces = documents.has_report(folder)
    charts.install()
    specs = specs_of(result, groups, attached)
    drawn = charts.draw(specs, folder / "charts")
    for name in charts.names() - drawn.keys() if replaces else ():
        (folder / "charts" / f"{name}.svg").unlink(missing_ok=True)  # of that report
    path = folder / documents.PAGE
    documents.write_text(render(result, groups, drawn, specs, charts.libraries(), attached), path)
    return path


def specs_of(result: Result, groups: Sequence[Group], attached: Mapping[str, Json]) -> list[Json]:
    """All charts of the page."""
    origin = charts.origin(result.tool.commit, result.host.cpu, result.started_at, result.experiment.name)
    drifted = drift(result, groups[0].reference) if groups else []
    palette = Palette.of(result)
    return [*({**chart, "origin": origin} for chart in charts.build(groups, palette, drifted)),
            *(companions.chart(name, companion, palette) for name, companion in attached.items())]


def render(result: Result, groups: Sequence[Group], drawn: Mapping[str, str], specs: Sequence[Json],
           libraries: Sequence[str], attached: Mapping[str, Json], held: Mapping[str, str] | None = None) -> str:
    """The page.  `drawn` maps a chart's name to its SVG: shown until, or instead of, the interactive one; `held`
    {name: text} is what the page holds, by the names of companions and `result`."""
    held = held or {name: documents.embedded(part) for name, part in {"result": result.document, **attached}.items()}
    links = {"charts-part": "Charts", **{name: companions.ALL[name].heading for name in attached}, **_LINKS}
    settings = {key: value for key, value in result.document.get("experiment", {}).items() if key != "summary"}
    servers = dict.fromkeys(" ".join(cell.server.command) for cell in result.cells if cell.server.command)
    reference = groups[0].reference if groups else ""
    rows = [row for group in groups for row in group.rows]
    parts = [{"name": name, "about": companions.ALL[name], "origin": companions.origin(name, part), "held": held[name]}
             for name, part in attached.items()]
    of_parts = {companions.ALL[name].chart for name in attached}
    palette = Palette.of(result)
    variants = dict.fromkeys([*(row.variant for row in rows), *charts.shown(specs),
                              *(name for group in groups for name in group.unavailable),
                              *(row.scaled.of for row in rows if row.scaled)])
    return whole("report.html", f"echobench: {result.experiment.name or 'echo-load'}", _subtitle(result), links, specs,
                 libraries, document=result.document, held=held["result"], reference=reference,
                 unfinished=UNFINISHED, companions=parts,
                 drawn=dict.fromkeys(drawn, _WITHOUT_SCRIPT) if result.lean else drawn,
                 chart_names=[chart["name"] for chart in specs if chart["name"] not in of_parts],
                 failed=[run for run in result.runs if run.error is not None], tables=_tables(groups),
                 recoveries=tables.recoveries(groups),
                 scaling=[replace(part, rows=[(None, texts) for _, texts in part.rows])
                          for part in scaling.tables(groups)],
                 families={variant: palette.family(variant) for variant in variants},
                 connections=sorted({group.workload.connections for group in groups}),
                 palette=palette.colours(dict.fromkeys(row.variant for row in rows)),
                 notes=notes(groups, result), doubts=tables.doubts(groups), verdicts=VERDICTS,
                 settings=json.dumps(settings, indent=1) if settings else "", least=f"{100 * recovery.LEAST:g}",
                 most=f"{100 * recovery.MOST:g}",
                 commands=[*servers, *([" ".join(run.argv) for run in result.runs if run.argv] or
                                       [" ".join(result.argv)])])


def whole(template: str, title: str, subtitle: str, links: Mapping[str, str], specs: Sequence[Json],
          libraries: Sequence[str], **content: object) -> str:
    """A page by one of the templates, with all that its charts need."""
    environment = jinja2.Environment(loader=jinja2.PackageLoader(__package__, "templates"), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(inert_script=_inert_script, inert_json=_inert_json, plain=_plain, title_of=tables.title,
                               verdict_of=verdict_text)
    return environment.get_template(template).render(title=title, subtitle=subtitle, links=links, specs=specs,
                                                     libraries=libraries, script=_SCRIPT.read_text(), **content)


def _tables(groups: Sequence[Group]) -> list[Json]:
    """Every workload's table by itself; the first of each load has a heading that says what it is."""
    sections: list[Json] = []
    seen: set[str] = set()
    for table in tables.build(groups, side_by_side=False):
        first = table.kind not in seen
        seen.add(table.kind)
        heading = blocking.HEADING if table.kind == "blocking" else TITLES[table.kind]
        sections.append({
            "heading": heading if first else "", "meaning": MEANINGS[table.kind] if first else "", "title": table.title,
            "columns": table.columns, "remarks": table.remarks,
            "connections": sorted({group.workload.connections for group in table.groups}),
            "rows": [("reference" if row and row.variant == table.groups[0].reference else "",
                      _cells(table, row, texts)) for row, texts in table.rows]})
    return sections


def _cells(table: Table, row: Row | None, texts: Sequence[str]) -> list[str | tuple[str, str]]:
    """Each a text, or a text and the class of its cell.  Those with a figure that must not be relied on, for its row is
    not valid or its column's control did not pass, are marked to be hatched; the verdict or the heading says why.
    A figure of a row that is over its sound restarts only may be relied on."""
    of_cost = _OF_COST if any(group.unranked(COST) for group in table.groups) and len(table.groups) == 1 else set()
    kind = table.kind
    cells: list[str | tuple[str, str]] = []
    for number, (text, (name, justify)) in enumerate(zip(texts, table.columns)):
        if name == VERDICT.name or row is None and number == len(texts) - 1:
            cells.append((text, row.verdict if row else "unavailable"))
            continue
        is_biased = name == CLOSED_LOOP_COST.name or name.endswith(
            (f"control {recovery.BIASED}", f"control {recovery.INCONCLUSIVE}"))
        is_of_sound = name in _OF_KEPT and row is not None and row.kept and kind in RANKED
        is_doubtful = number and row and text != ABSENT and (
            row.verdict != "valid" and not is_of_sound or name in of_cost or is_biased)
        cells.append((text, f"{justify} doubt") if is_doubtful else text)
    return cells


def _inert_script(text: str) -> Markup:
    """JavaScript that cannot end the script element it stands in: the word can only be in a string there."""
    return Markup(text.replace("</script", "<\\/script"))


def _inert_json(value: object) -> Markup:
    """JSON that cannot either."""
    return Markup(json.dumps(value, separators=(",", ":")).replace("<", "\\u003c"))


def _subtitle(result: Result) -> str:
    when = f"{result.started_at[:16].replace('T', ' ')} UTC" if result.started_at else ""
    return " · ".join(filter(None, (result.experiment.summary, when, result.host.cpu, result.host.kernel)))


def _plain(value: Any) -> str:
    """A fact as short text."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
