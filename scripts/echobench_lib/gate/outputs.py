"""What a gate found, for a terminal, a pull request, and CI systems."""

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from rich.console import Console
from rich.text import Text

from ..report.columns import ABSENT, Heading
from ..report.terminal import plain_table
from .judgement import (BROKE, IMPROVED, LEFT_OUT, MISSING, NEW, NOTHING, REGRESSED, UNCHANGED, UNDECIDED, UNMEASURED,
                        Judgement, Verdict, by_weight, counts, is_compared)

FAILURES: tuple[Verdict, ...] = (BROKE, MISSING, REGRESSED)
SKIPPED: tuple[Verdict, ...] = (UNMEASURED, UNDECIDED, LEFT_OUT)
MOST_ANNOTATIONS = 9  # of a level: GitHub shows ten of a step
STYLES: dict[Verdict, str] = {BROKE: "red", MISSING: "red", REGRESSED: "red", UNMEASURED: "yellow", UNDECIDED: "yellow",
                              IMPROVED: "green"}


def show(title: str, judgements: Sequence[Judgement], console: Console) -> None:
    """A table for each tier, those that changed first; below it, why."""
    console.print(title, style="bold", soft_wrap=True)
    for tier, of_tier in tiers(judgements).items():
        columns: list[Heading] = [(name, "left" if name in ("variant", "load") else "right")
                                  for name in headings(of_tier)]
        table = plain_table(f"{tier} tier", [*columns, ("verdict", "left")])
        for judgement in by_weight(of_tier):
            verdict, style = judgement.verdict, STYLES.get(judgement.verdict)
            table.add_row(*texts(judgement, of_tier), Text(verdict, style or ""))
        console.print(table)
    for judgement in by_weight(judgements):
        for why in judgement.why:
            console.print(f"{judgement.cell}: {judgement.verdict}: {why}", soft_wrap=True)
    console.print(counts(judgements), soft_wrap=True)


def tiers(judgements: Sequence[Judgement]) -> dict[str, list[Judgement]]:
    """{tier: its judgements}"""
    return {tier: [judgement for judgement in judgements if judgement.tier == tier]
            for tier in dict.fromkeys(judgement.tier for judgement in judgements)}


def headings(judgements: Sequence[Judgement]) -> list[str]:
    """Of the columns of one tier, but for the verdict."""
    known = [name for name in ("connections", "load") if any(getattr(judgement, name) for judgement in judgements)]
    return ["variant", *known, *dict.fromkeys(name for judgement in judgements for name in judgement.figures)]


def texts(judgement: Judgement, judgements: Sequence[Judgement]) -> list[str]:
    """Its row under them."""
    known = {"variant": judgement.variant,
             "connections": f"{judgement.connections:,}" if judgement.connections else ABSENT, "load": judgement.load,
             **judgement.figures}
    return [known.get(name, ABSENT) for name in headings(judgements)]


def markdown(title: str, judgements: Sequence[Judgement], error: str = "") -> str:
    """What changed on top, all else folded away; above it the `error` that kept the gate from being finished."""
    changed = [judgement for judgement in by_weight(judgements) if judgement.verdict not in (UNCHANGED, LEFT_OUT)]
    lines = [f"### {title}", "", *([_cell(error), ""] if error else []), f"**{counts(judgements)}**", ""]
    if changed:
        lines += ["| cell | tier | verdict | why |", "|---|---|---|---|"]
        lines += [f"| {judgement.cell} | {judgement.tier} | {judgement.verdict} | {_cell('; '.join(judgement.why))} |"
                  for judgement in changed]
        lines.append("")
    lines += ["<details><summary>every cell</summary>", ""]
    for of_tier in tiers(judgements).values():
        lines += [f"| {' | '.join(headings(of_tier))} | verdict |", "|---" * (len(headings(of_tier)) + 1) + "|"]
        lines += [f"| {' | '.join(texts(judgement, of_tier))} | {judgement.verdict} |" for judgement in of_tier]
        lines.append("")
    return "\n".join([*lines, "</details>", ""])


def _cell(text: str) -> str:
    """Text that stays within its cell."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def junit(judgements: Sequence[Judgement], error: str = "") -> str:
    """A test case for each cell: failures are failures, what could not be judged is skipped; `error`: as of
    markdown."""
    failures = [judgement for judgement in judgements if judgement.verdict in FAILURES]
    skipped = [judgement for judgement in judgements if judgement.verdict in SKIPPED]
    problem = _problem(judgements, error)
    suite = ElementTree.Element("testsuite", name="echobench gate", tests=str(len(judgements) + bool(problem)),
                                failures=str(len(failures) + bool(problem)), skipped=str(len(skipped)), errors="0")
    if problem:
        case = ElementTree.SubElement(suite, "testcase", classname="gate", name="comparison")
        ElementTree.SubElement(case, "failure", message=_xml(problem))
    for judgement in judgements:
        case = ElementTree.SubElement(suite, "testcase", classname=f"gate.{judgement.tier}", name=_xml(judgement.cell))
        if judgement in failures or judgement in skipped:
            ElementTree.SubElement(case, "failure" if judgement in failures else "skipped",
                                   message=_xml(f"{judgement.verdict}: {'; '.join(judgement.why)}"))
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)


def _problem(judgements: Sequence[Judgement], error: str) -> str:
    """What failed of the gate as a whole; empty where nothing did."""
    return error or ("" if any(map(is_compared, judgements)) else NOTHING)


def _xml(text: str) -> str:
    """Without what XML 1.0 has no way to write: a server may say anything."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)


def annotations(judgements: Sequence[Judgement], error: str = "") -> Iterator[str]:
    """GitHub's workflow commands: one for each cell that changed, or cannot be judged, the worst first; as many of a
    level as are shown."""
    levels: dict[str, tuple[Verdict, ...]] = {
        "error": FAILURES, "warning": (UNMEASURED, UNDECIDED), "notice": (IMPROVED, NEW)}
    if problem := _problem(judgements, error):
        yield f"::error title=echobench::{_data(problem)}"
    for level, verdicts in levels.items():
        of_level = [judgement for judgement in by_weight(judgements) if judgement.verdict in verdicts]
        for judgement in of_level[:MOST_ANNOTATIONS]:
            what = f"{judgement.verdict}: {'; '.join(judgement.why)}"
            yield f"::{level} title=echobench: {_property(judgement.cell)}::{_data(what)}"
        if more := of_level[MOST_ANNOTATIONS:]:
            yield f"::{level} title=echobench::and {len(more)} more: the job's summary has them"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
