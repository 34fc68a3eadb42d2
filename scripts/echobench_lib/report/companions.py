"""What is in the folder of a result, and belongs into its report: what a request costs in counts, what the primitives cost,
what the gate sees.  Each is a result of a verb of its own."""

from dataclasses import dataclass

from ..count import document as counts
from ..count.report import figure_text
from ..gate import power
from ..micro import answers, figures, questions
from ..micro import document as micro
from ..units import format_connections, format_time_ns, significant
from . import charts

SHOWN = {"instructions": "instructions", "system_calls": "system calls", "allocations": "allocations"}  # of counts


@dataclass(frozen=True)
class Companion:
    """A part of the page: `heading`, `text`, the `verb` that measures it, and a `chart`, whose spec `draw(document)` gives.  `load(path)`
    reads the document, `about(document)` is where it comes from: commit, CPU, time, `lean(document)` what a lean report holds of it."""

    file_name: str
    load: object
    about: object
    heading: str
    text: str
    verb: str
    chart: str
    draw: object
    lean: object = lambda document: document


def load(file):
    """{name: document} of those that lie next to a result file; of those that it holds, if it is a report."""
    if file.suffix == ".html":
        text = file.read_text()
        return {name: companion.load(file) for name, companion in ALL.items() if f'id="result-{name}"' in text}
    return {name: companion.load(file.parent / companion.file_name) for name, companion in ALL.items() if (file.parent / companion.file_name).is_file()}


def lean(documents):
    """{name: document}, as a lean report holds them."""
    return {name: ALL[name].lean(document) for name, document in documents.items()}


def origin(name, document):
    return charts.origin(*ALL[name].about(document))


def chart(name, document):
    """{name, spec, origin}"""
    return {"name": ALL[name].chart, "spec": ALL[name].draw(document), "origin": origin(name, document)}


def _counts(document):
    """Of the smallest and the largest number of connections that were counted."""
    every = sorted({cell["connections"] for cell in document["cells"]})
    points = []
    for cell in document["cells"]:
        for order, (name, what) in enumerate(SHOWN.items()):
            figure = cell["figures"].get(name)
            if figure and cell["connections"] in (every[0], every[-1]):
                points.append({"variant": cell["variant"], "panel": format_connections(cell["connections"]), "order": cell["connections"],
                               "figure": what, "figure_order": order, "count": figure["per_request"], "text": figure_text(figure)})
    spec = charts.coloured("counts", points)["spec"]
    spec["title"]["subtitle"] = f"{document['config']['payload_bytes']:,}-byte {document['config']['framing']}. {spec['title']['subtitle']}"
    return spec


def _primitives(document):
    """The rows that the answers to the questions name: some of each file of bench/."""
    points = []
    for order, section in enumerate(figures.sections(document, questions.load())):
        named = answers.names(section.question)
        points += [{"panel": section.question.question, "order": order, "row": section.question.label(row.name), "ratio": ratio,
                    "text": f"{significant(ratio)}  ({format_time_ns(row.ns)})", "time": format_time_ns(row.ns)}
                   for row in section.rows if questions.plain(row.name) in named and (ratio := section.ratio(row))]
    return charts.complete("primitives", points)


ALL = {
    "count": Companion(
        file_name=counts.FILE_NAME, load=counts.load, verb="echobench count", heading="Counts", chart="counts", draw=_counts,
        text="What a request costs in user-space instructions, system calls and allocations: the same however busy the host is; compiler, "
             "C library and CPU change them. All connections are ready at each wake-up.",
        about=lambda document: (document["tool"].get("build", {}).get("commit"), document["host"].get("cpu"), document["started_at"])),
    "micro": Companion(
        file_name=micro.FILE_NAME, load=micro.load, verb="echobench micro", heading="Primitives", chart="primitives", draw=_primitives,
        lean=micro.lean,
        text="What the primitives under the models cost, divided by what costs least and does the same work, in their fastest rounds; of what "
             "wakes the other CPU, the median.",
        about=micro.about),
    "power": Companion(
        file_name=power.FILE_NAME, load=power.load, verb="echobench power", heading="What the gate finds", chart="power", draw=power.chart,
        text="Servers that cost the same, and servers that burn a known share more, judged again and again by the gate, and by two rules "
             "in common use.",
        about=power.about)}
