"""What is in the folder of a result, and belongs into its report: what a request costs in counts, what the primitives
cost, what the gate sees.  Each is a result of a verb of its own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..count import document as counts
from ..count.report import figure_text
from ..documents import Json, portable
from ..gate import power
from ..micro import answers, figures, questions
from ..micro import document as micro
from ..units import format_connections, format_time_ns, significant
from . import charts
from .palette import Palette

SHOWN = {"instructions": "instructions", "system_calls": "system calls", "allocations": "allocations"}  # of counts


@dataclass(frozen=True)
class Companion:
    """A part of the page: `heading`, `text`, the `verb` that measures it, and a `chart`, whose spec
    `draw(document, palette)` gives.  `load(path)` reads the document, `about(document)` is where it comes from: commit,
    CPU, time, `lean(document)` what a lean report keeps."""

    file_name: str
    load: Callable[[Path], Json]
    about: Callable[[Json], Sequence[str | None]]
    heading: str
    text: str
    verb: str
    chart: str
    draw: Callable[[Json, Palette], Json]
    lean: Callable[[Json], Json] = lambda document: document


def load(file: Path) -> dict[str, Json]:
    """{name: document} of those that lie next to a result file; of those that it holds, if it is a report."""
    if file.suffix == ".html":
        text = file.read_text()
        return {name: companion.load(file) for name, companion in ALL.items() if f'id="result-{name}"' in text}
    return {name: companion.load(file.parent / companion.file_name) for name, companion in ALL.items()
            if (file.parent / companion.file_name).is_file()}


def lean(documents: Mapping[str, Json]) -> dict[str, Json]:
    """{name: document}, as a lean report holds them."""
    return {name: portable(ALL[name].lean(document)) for name, document in documents.items()}


def origin(name: str, document: Json) -> str:
    commit, cpu, time = ALL[name].about(document)
    return charts.origin(commit, cpu, time)


def chart(name: str, document: Json, palette: Palette) -> Json:
    """With its data and its origin."""
    return {"name": ALL[name].chart, "spec": ALL[name].draw(document, palette), "origin": origin(name, document)}


def _counts(document: Json, palette: Palette) -> Json:
    """Of the smallest and the largest number of connections that were counted."""
    counted = counts.result_of(document)
    every = sorted({connections for _, connections in counted.cells})
    points = []
    for (variant, connections), cell in counted.cells.items():
        for order, (name, what) in enumerate(SHOWN.items()):
            figure = cell.figures.get(name)
            if figure and connections in (every[0], every[-1]):
                points.append({"variant": variant, "panel": format_connections(connections), "order": connections,
                               "figure": what, "figure_order": order, "count": figure.per_request,
                               "text": figure_text(figure)})
    spec: Json = charts.coloured("counts", points, palette)["spec"]
    spec["title"]["subtitle"] = f"{counted.payload_bytes:,}-byte {counted.framing}. {spec['title']['subtitle']}"
    return spec


def _primitives(document: Json, _: Palette) -> Json:
    """The rows that the answers to the questions name: some of each file of bench/."""
    points: list[Json] = []
    for order, section in enumerate(figures.sections(document, questions.load())):
        named = answers.names(section.question)
        points += [{"panel": section.question.question, "order": order, "row": section.question.label(row.name),
                    "ratio": ratio, "text": f"{significant(ratio)}  ({format_time_ns(row.ns)})",
                    "time": format_time_ns(row.ns)}
                   for row in section.rows if questions.plain(row.name) in named
                   and (ratio := section.ratio(row)) and row.ns is not None]
    return charts.complete("primitives", points)


ALL = {
    "count": Companion(
        file_name=counts.FILE_NAME, load=counts.load, verb="echobench count", heading="Counts", chart="counts",
        draw=_counts,
        text="What a request costs in user-space instructions, system calls and allocations: the same however busy the "
             "host is; compiler, C library and CPU change them. All connections are ready at each wake-up.",
        about=lambda document: (document["tool"].get("build", {}).get("commit"), document["host"].get("cpu"),
                                document["started_at"])),
    "micro": Companion(
        file_name=micro.FILE_NAME, load=micro.load, verb="echobench micro", heading="Primitives", chart="primitives",
        draw=_primitives, lean=micro.lean,
        text="What the primitives under the models cost, divided by what costs least and does the same work, in their "
             "fastest rounds; of what wakes the other CPU, the median.",
        about=micro.about),
    "power": Companion(
        file_name=power.FILE_NAME, load=power.load, verb="echobench power", heading="What the gate finds",
        chart="power", draw=lambda document, _: power.chart(power.from_json(document)),
        text="Servers that cost the same, and servers that burn a known share more, judged again and again by the "
             "gate, and by two rules in common use.",
        about=lambda document: power.from_json(document).about)}
