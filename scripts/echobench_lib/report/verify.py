"""Whether the figures of a report follow from its result: the result that the page holds is reported again, and the two
are compared, down to the last digit of every table and the last point of every chart."""

import html
import itertools
import re
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path

from rich.console import Console

from .. import Usage, documents, result
from ..analyse.summary import summarise
from ..documents import PAGE
from . import charts, companions, page

SHOWN = 5  # differences that are printed


def verify(options: Namespace, console: Console) -> int:
    """Exit status 0: the same; 1: not, and where."""
    file = documents.locate(options.report, PAGE)
    text = file.read_text()
    document, reference = documents.held(file, text), _reference(file, text)
    result.validate(document, file)
    stored = result.from_json(document)
    attached = companions.load(file)
    groups = summarise(stored, reference)
    charts.install()
    specs = page.specs_of(stored, groups, attached)
    with tempfile.TemporaryDirectory() as scratch:
        drawn = charts.draw(specs, Path(scratch))
        separate = _differing_files(file.parent / "charts", drawn)
    names = {"result": "result", **{name: f"result-{name}" for name in attached}}
    held = {name: documents.held_text(text, in_page) or "" for name, in_page in names.items()}
    computed = page.render(stored, groups, drawn, specs, charts.libraries(), attached, held)
    differences = list(_differences(computed, text))
    for number, ours, present in differences[:SHOWN]:
        console.print(f"{file}:{number}: the page has {_around(present, ours)}, its result gives "
                      f"{_around(ours, present)}",
                      soft_wrap=True)
    if len(differences) > SHOWN:
        console.print(f"and {len(differences) - SHOWN} more lines")
    for name in separate:
        console.print(f"{name}: this chart does not follow from the result", soft_wrap=True)
    if differences or separate:
        console.print(f"{file}: not every figure follows from its result (a report of another version of echobench may "
                      f"differ in its words: this one was measured by {stored.tool.commit or 'an unknown commit'})",
                      style="red", soft_wrap=True)
        return 1
    rows = sum(len(group.rows) for group in groups)
    console.print(f"{file}: every figure follows from its result: {rows} rows of {len(groups)} tables, {len(specs)} "
                  "charts",
                  soft_wrap=True)
    return 0


def _reference(file: Path, text: str) -> str:
    match = re.search(r'id="result" data-reference="([^"]*)"', text)
    if not match:
        raise Usage(f"{file}: it does not name the variant that its ratios refer to")
    return html.unescape(match[1])


def _differing_files(folder: Path, drawn: Mapping[str, str]) -> list[Path]:
    """SVG files next to the page that are not those charts; absent ones are no error."""
    return [file for file in sorted(folder.glob("*.svg")) if drawn.get(file.stem) != file.read_text()]


def _differences(computed: str, present: str) -> Iterator[tuple[int, str, str]]:
    """(line number, as computed, as found) of each line that differs."""
    for number, (ours, other) in enumerate(itertools.zip_longest(computed.split("\n"), present.split("\n")), 1):
        if ours != other:
            yield number, ours or "", other or ""


def _around(text: str, other: str, room: int = 40) -> str:
    """What stands where the two begin to differ."""
    at = next((index for index, (one, two) in enumerate(zip(text, other)) if one != two), min(len(text), len(other)))
    return repr(text[max(0, at - room // 2):at + room])
