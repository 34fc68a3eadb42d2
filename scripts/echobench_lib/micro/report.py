"""Tables for the terminal, and the page with its charts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console, JustifyMethod
from rich.text import Text

from .. import documents
from ..documents import Json
from ..report import charts, page
from ..report.columns import ABSENT
from ..report.terminal import plain_table
from ..units import NS_PER_S, format_time_ns, significant
from .answers import quantity
from .document import about
from .figures import Row, Section
from .questions import Question

Column = tuple[str, JustifyMethod]
COLUMNS: tuple[Column, ...] = (
    ("row", "left"), ("ratio", "right"), ("time", "right"), ("spread", "right"), ("process CPU", "right"),
    ("counters", "left"), ("no figure", "left"))
READING = {
    "ratio": "time per operation divided by that of the floor, Null: what costs least and does the same work, with the "
             "same arguments, measured by the same processes, mostly within a second of it. Rows of cpus:2 that wake "
             "the other CPU are divided by Switch_Futex/cpus:2, which does only that.",
    "time": "per operation, of the fastest of the rounds, each of which starts new processes: a busy neighbour slows "
            "one row more than another, and in the fastest rounds there was none. It is the CPU time of the row's "
            "thread, or real time where several threads work or the kernel makes one wait. What wakes the other CPU, "
            "cpus:2, is fast by luck, too: the median, and for the ratio that of the ratios within each process.",
    "spread": "from that time to the upper quartile of the rounds, in percent of it; of medians, the interquartile "
              "range. It shows how noisy the host was.",
    "process CPU": "user and system time of all threads, per operation, for rows in real time.",
    "counters": "medians over the rounds, rates of the same rounds as the time; in the unit that is printed."}
_STYLES = {"wrong": "red", "unavailable": "yellow"}


def table(section: Section) -> tuple[list[Column], list[tuple[Row, list[str]]]]:
    """((name, justify) pairs, (row, its texts) pairs); columns in which no row has anything are left out."""
    rows = [(row, _texts(row, section)) for row in section.rows]
    used = [any(texts[column] for _, texts in rows) for column in range(len(COLUMNS))]
    return ([column for column, is_used in zip(COLUMNS, used) if is_used],
            [(row, [text or ABSENT for text, is_used in zip(texts, used) if is_used]) for row, texts in rows])


def _texts(row: Row, section: Section) -> list[str]:
    label = section.question.label(row.name)
    if row.ns is None:
        return [label, *[""] * (len(COLUMNS) - 2), row.error]
    ratio = section.ratio(row)
    return [label, significant(ratio) if ratio is not None else "", format_time_ns(row.ns), _percent(row.spread),
            format_time_ns(row.cpu_ns) if row.cpu_ns is not None else "",
            ", ".join(f"{key.removesuffix('_ns').removesuffix('_per_second')} {quantity(key, value)}"
                      for key, value in row.counters.items() if not _says_the_time_again(row.ns, key, value)), ""]


def _percent(share: float | None) -> str:
    return f"{100 * share:.1f} %" if share is not None else ""


def _says_the_time_again(ns: float, key: str, value: float) -> bool:
    """Where an iteration is an item, the rate of items is the time upside down."""
    return key == "items_per_second" and abs(value * ns / NS_PER_S - 1) < 0.01


def show(sections: Iterable[Section], answers: Mapping[Question, str], console: Console) -> None:
    """Prints a table and the answer for each question."""
    for section in sections:
        columns, rows = table(section)
        console.print(section.question.question, style="bold")
        printed = plain_table(None, columns)
        printed.columns[-1].no_wrap = False  # counters, or why there is no figure
        for row, texts in rows:
            printed.add_row(*map(Text, texts), style=_STYLES.get(_class(row)))
        console.print(printed)
        if text := answers[section.question]:
            console.print(text)
        console.print()
    console.print("time: of the fastest round, of cpus:2 the median; ratio: to the floor, Null, or Switch_Futex/cpus:2 "
                  "for what wakes another CPU; spread: to the upper quartile of the rounds, of cpus:2 the "
                  "interquartile range", style="dim")


def write(document: Json, sections: Sequence[Section], answers: Mapping[Question, str], folder: Path) -> Path:
    """Writes charts/*.svg and index.html into `folder` and returns the page's path.  Raises Usage where a report with a
    result would be overwritten."""
    documents.require_no_report(folder)
    charts.install()
    origin = charts.origin(*about(document))
    specs = [{"name": section.question.file, "spec": _chart(section), "origin": origin} for section in sections
             if any(row.ns for row in section.rows)]
    drawn = charts.draw(specs, folder / "charts")
    path = folder / documents.PAGE
    documents.write_text(_render(document, sections, answers, drawn, specs), path)
    return path


def _chart(section: Section) -> Json:
    values = [{"row": section.question.label(row.name), "ns": row.ns, "low": row.low, "high": row.high,
               "text": format_time_ns(row.ns), "spread": f"{format_time_ns(row.low)} to {format_time_ns(row.high)}",
               "ratio": significant(ratio) if (ratio := section.ratio(row)) is not None else ABSENT,
               "floor": section.floor(row) is row} for row in section.rows if row.ns]
    spec = charts.complete("micro", values)
    spec["title"]["text"] = f"{', '.join(section.question.topics)}: time per operation"
    spec["encoding"]["x"]["axis"]["values"] = _ticks([row.ns for row in section.rows if row.ns])
    return spec


def _ticks(values: Sequence[float]) -> list[float]:
    """Where a log axis has its labels: at the decades, and between them where they are few."""
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    steps = (1,) if last - first > 3 else (1, 2, 5)
    return [step * 10**exponent for exponent in range(first, last + 1) for step in steps]


def _render(document: Json, sections: Sequence[Section], answers: Mapping[Question, str], drawn: Mapping[str, str],
            specs: Sequence[Json]) -> str:
    context = document["context"]
    links = {section.question.file: section.question.topics[0] for section in sections}
    subtitle = (context.get("date", "")[:16].replace("T", " "), context.get("cpu"), context.get("kernel"),
                context.get("compiler"))
    parts = [_part(section, answers[section.question], drawn.get(section.question.file, "")) for section in sections]
    return page.whole("micro.html", "echobench: what the primitives cost", " · ".join(filter(None, subtitle)),
                      {**links, "reading": "How to read", "host": "Host"}, specs, charts.libraries(), reading=READING,
                      context=context, sections=parts)


def _part(section: Section, answer: str, svg: str) -> Json:
    """What the page's template shows of a question."""
    question = section.question
    columns, rows = table(section)
    return {"file": question.file, "question": question.question, "answer": answer, "svg": svg,
            "caveat": question.caveat, "columns": columns,
            "rows": [(_class(row, section), texts) for row, texts in rows]}


def _class(row: Row, section: Section | None = None) -> str:
    """wrong, unavailable or, within a section, reference: the floor that others are compared with."""
    if row.error:
        return "wrong" if row.is_wrong else "unavailable"
    return "reference" if section and section.floor(row) is row else ""
